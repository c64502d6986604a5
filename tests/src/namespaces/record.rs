//! A record of the harness' own, written by the ledger's server as it happens: who claimed which document, whether
//! somebody else still lived who had it, and who committed it.

use anyhow::Result;

use crate::chaos::services::look::Look;

/// Tables and a trigger in a schema of the harness; `SCHEMA` is the ledger's.
const STATEMENTS: &[&str] = &[
    "CREATE SCHEMA seen",
    "CREATE TABLE seen.claims(document uuid, generation bigint, owner text, epoch bigint, at_ms bigint,
       held_by text, held_until_ms bigint)",
    "CREATE TABLE seen.commits(document uuid, generation bigint, owner text, epoch bigint, bytes bigint,
       number bigint GENERATED ALWAYS AS IDENTITY, at_ms bigint)",
    "CREATE FUNCTION seen.note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
       IF NEW.state = 'processing' AND (OLD.state <> 'processing' OR NEW.epoch <> OLD.epoch) THEN
         INSERT INTO seen.claims VALUES (NEW.document, NEW.generation, NEW.owner, NEW.epoch, SCHEMA.now_ms(),
           CASE WHEN OLD.state = 'processing' THEN OLD.owner END,
           (SELECT lease_until_ms FROM SCHEMA.workers WHERE worker = OLD.owner AND OLD.state = 'processing'));
       ELSIF NEW.state = 'committed' AND OLD.state <> 'committed' THEN
         INSERT INTO seen.commits(document, generation, owner, epoch, bytes, at_ms)
           VALUES (NEW.document, NEW.generation, OLD.owner, NEW.epoch, NEW.bytes, SCHEMA.now_ms());
       END IF;
       RETURN NULL;
     END $$",
    "CREATE TRIGGER seen AFTER UPDATE ON SCHEMA.documents FOR EACH ROW EXECUTE FUNCTION seen.note()",
];

/// Bytes from which on a document is in the lane of large ones.
const LARGE_BYTES: i64 = 1_000_000;

/// See the module.
pub struct Record<'a> {
    look: &'a Look,
}

impl<'a> Record<'a> {
    /// Begins it.
    ///
    /// # Errors
    /// The server does not answer.
    pub async fn begin(look: &'a Look, schema: &str) -> Result<Self> {
        for statement in STATEMENTS {
            look.rows(&statement.replace("SCHEMA.", &format!("{schema}.")), &[]).await?;
        }
        Ok(Self { look })
    }

    /// The number of the last commit until now.
    ///
    /// # Errors
    /// The server does not answer.
    pub async fn commits(&self) -> Result<i64> {
        self.look.number("SELECT coalesce(max(number), 0) FROM seen.commits").await
    }

    /// Time from the first claim to the last commit behind so many commits, in seconds.
    ///
    /// # Errors
    /// The server does not answer.
    pub async fn seconds_since(&self, commits: i64) -> Result<f64> {
        let sql = "SELECT max(c.at_ms) - min(k.at_ms) FROM seen.commits c JOIN seen.claims k USING (document, generation)
            WHERE c.number > $1";
        let rows = self.look.rows(sql, &[&commits]).await?;
        let ms: Option<i64> = rows.first().map(|row| row.try_get(0)).transpose()?.flatten();
        Ok(ms.unwrap_or(0) as f64 / 1_000.0)
    }

    /// Documents that a worker took while another lived that had it.
    ///
    /// # Errors
    /// The server does not answer.
    pub async fn taken_from_the_living(&self) -> Result<i64> {
        let sql = "SELECT count(*) FROM seen.claims WHERE held_by <> owner AND held_until_ms > at_ms";
        self.look.number(sql).await
    }

    /// Documents that were begun more than once, but for those that this worker had.
    ///
    /// # Errors
    /// The server does not answer.
    pub async fn begun_again(&self, but_of: &str) -> Result<i64> {
        let sql = "SELECT count(*) FROM (SELECT FROM seen.claims GROUP BY document, generation
            HAVING count(*) > 1 AND NOT bool_or(owner LIKE $1)) again";
        Ok(self.look.rows(sql, &[&format!("{but_of}-%")]).await?[0].try_get(0)?)
    }

    /// Documents that were committed more than once.
    ///
    /// # Errors
    /// The server does not answer.
    pub async fn committed_again(&self) -> Result<i64> {
        let sql = "SELECT count(*) FROM (SELECT FROM seen.commits GROUP BY document, generation HAVING count(*) > 1) again";
        self.look.number(sql).await
    }

    /// Documents that this worker has in work.
    ///
    /// # Errors
    /// The server does not answer.
    pub async fn held_by(&self, worker: &str) -> Result<Vec<String>> {
        let sql = "SELECT document::text FROM documents WHERE state = 'processing' AND owner LIKE $1";
        let rows = self.look.rows(sql, &[&format!("{worker}-%")]).await?;
        rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
    }

    /// How many of these documents another worker committed, and how many this one did after all.
    ///
    /// # Errors
    /// The server does not answer.
    pub async fn done(&self, documents: &[String], worker: &str) -> Result<(i64, i64)> {
        let sql = "SELECT count(*) FILTER (WHERE owner NOT LIKE $2), count(*) FILTER (WHERE owner LIKE $2)
            FROM seen.commits WHERE document::text = ANY($1)";
        let row = &self.look.rows(sql, &[&documents, &format!("{worker}-%")]).await?[0];
        Ok((row.try_get(0)?, row.try_get(1)?))
    }

    /// Claims of this worker.
    ///
    /// # Errors
    /// The server does not answer.
    pub async fn claims_of(&self, worker: &str) -> Result<i64> {
        let sql = "SELECT count(*) FROM seen.claims WHERE owner LIKE $1";
        Ok(self.look.rows(sql, &[&format!("{worker}-%")]).await?[0].try_get(0)?)
    }

    /// The share of the large documents that is done within the first three quarters of the commits behind so many.
    /// Where large ones wait for all small ones, it is 0.
    ///
    /// # Errors
    /// The server does not answer.
    pub async fn share_of_large(&self, commits: i64) -> Result<f64> {
        let sql =
            "SELECT coalesce(avg(CASE WHEN n <= all_of_them * 3 / 4 THEN 1.0 ELSE 0.0 END), 0)::float8 FROM
            (SELECT bytes, row_number() OVER (ORDER BY number) AS n, count(*) OVER () AS all_of_them
               FROM seen.commits WHERE number > $1) phase WHERE bytes >= $2";
        Ok(self.look.rows(sql, &[&commits, &LARGE_BYTES]).await?[0].try_get(0)?)
    }
}
