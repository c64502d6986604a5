//! One of the two tenants: what marks its documents, what it may show, and what the other would like to have.

use anyhow::{Context, Result, ensure};
use rand::Rng;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use super::town::Town;
use crate::services::http::{Answer, Client, form};

/// Documents that both tenants have, with equal names and texts.
const SHARED: usize = 6;
/// Documents of its own.
const OWN: usize = 8;
/// Documents that no extractor can read.
const BROKEN: usize = 3;
/// Objects in its folder of the bucket.
const OBJECTS: usize = 4;

/// Words that only one tenant has.
#[derive(Debug, Clone)]
pub struct Marks {
    /// The tenant's name: it is in the names of its objects.
    pub tenant: String,
    /// In its texts.
    pub text: String,
    /// In its names: of files, places, batches and objects.
    pub name: String,
}

impl Marks {
    /// New ones of this tenant.
    pub fn draw(tenant: &str, random: &mut StdRng) -> Self {
        let letters = |random: &mut StdRng| -> String {
            (0..10).map(|_| char::from(random.random_range(b'a'..=b'z'))).collect()
        };
        let (text, name) = (letters(random), letters(random));
        Self { tenant: tenant.to_owned(), text: format!("Zqtext{text}"), name: format!("zqname{name}") }
    }

    /// Each with its name.
    pub fn named(&self) -> [(String, &str); 3] {
        [
            (format!("tenant {}", self.tenant), self.tenant.as_str()),
            (format!("text of {}", self.tenant), self.text.as_str()),
            (format!("name of {}", self.tenant), self.name.as_str()),
        ]
    }
}

/// See the module.
pub struct Side {
    /// Words that only it has.
    pub marks: Marks,
    /// Its key, which reads and writes.
    pub key: String,
    /// Its key of the scope admin.
    pub admin_key: String,
    /// Its token of the issuer.
    pub token: String,
    /// Ids of its documents.
    pub documents: Vec<String>,
    /// Ids of its batches.
    pub batches: Vec<String>,
    /// Idempotency keys that it used.
    pub idempotency_keys: Vec<String>,
    /// Where its lists go on, by path.
    pub cursors: Vec<(&'static str, String)>,
    /// URIs of its documents.
    pub uris: Vec<String>,
    /// URIs of objects and files in its folders.
    pub sources: Vec<String>,
    /// A batch to add to, and one to cancel.
    pub scratch: [String; 2],
    /// A document that it may delete.
    pub disposable: String,
}

/// A text that both tenants have.
pub fn shared_text(number: usize) -> String {
    format!("Letter {number}: the barometer fell all night, and in the morning the harbour lay in fog.")
}

impl Side {
    /// Comes to town with its documents.
    ///
    /// # Errors
    /// Something is not accepted.
    pub fn come(town: &Town, marks: Marks) -> Result<Self> {
        let (key, admin_key) = (town.api.key(&marks.tenant), town.api.key_with(&marks.tenant, "admin"));
        let token = town.token(&marks.tenant, "openid docmill:read docmill:write");
        let client = town.api.client(Some(key.clone()));
        let mut side = Self {
            marks,
            key,
            admin_key,
            token,
            documents: Vec::new(),
            batches: Vec::new(),
            idempotency_keys: Vec::new(),
            cursors: Vec::new(),
            uris: Vec::new(),
            sources: Vec::new(),
            scratch: Default::default(),
            disposable: String::new(),
        };
        for number in 0..SHARED {
            let place = format!("shared/letter-{number}.txt");
            side.upload(&client, &place, "letter.txt", shared_text(number).as_bytes())?;
        }
        let Marks { tenant, text, name } = side.marks.clone();
        let prose = |number: usize| {
            format!(
                "The {text} Barometer of number {number} stood in the house of {text}; {text} wrote it down."
            )
        };
        side.upload(&client, "play/disposable.txt", "letter.txt", b"Letter: it may go, whoever wants it.")?;
        side.disposable = side.documents.pop().context("it was accepted")?;
        side.uris.pop();
        for number in 0..OWN {
            let place = format!("own/{name}-{number}.txt");
            side.upload(&client, &place, &format!("{name}.txt"), prose(number).as_bytes())?;
        }
        for number in 0..BROKEN {
            let bytes = [b"\x00\x01\x02\xff", text.as_bytes(), &[number as u8]].concat();
            side.upload(&client, &format!("own/{name}-{number}.pdf"), "broken.pdf", &bytes)?;
        }
        for number in 0..OBJECTS {
            let object = format!("{tenant}/in-{name}-{number}.txt");
            side.sources.push(town.put(&object, prose(100 + number).as_bytes())?);
            let file = format!("{tenant}/file-{name}-{number}.txt");
            side.sources.push(town.file(&file, prose(200 + number).as_bytes())?);
        }
        for (at, uris) in side.sources.clone().chunks(3).enumerate() {
            let new = json!({"name": format!("batch {at} {name}"), "uris": uris});
            let accepted = accepted(client.post("/v1/batches", &new))?;
            side.batches.push(accepted["id"].as_str().context("an id")?.to_owned());
            side.note(&accepted)?;
        }
        Ok(side)
    }

    fn upload(&mut self, client: &Client, place: &str, name: &str, bytes: &[u8]) -> Result<()> {
        let key = format!("{}-key-{}", self.marks.name, self.idempotency_keys.len());
        let (kind, body) = form(&[(name, bytes)]);
        let headers = [("content-type", kind.as_str()), ("idempotency-key", key.as_str())];
        let answer = client.send("POST", &format!("/v1/documents?uri={place}"), &headers, &body)?;
        self.note(&accepted(answer)?)?;
        self.idempotency_keys.push(key);
        Ok(())
    }

    fn note(&mut self, accepted: &Value) -> Result<()> {
        for document in accepted["documents"].as_array().context("documents")? {
            self.documents.push(document["id"].as_str().context("an id")?.to_owned());
            self.uris.push(document["uri"].as_str().context("a URI")?.to_owned());
        }
        Ok(())
    }

    /// Notes where its lists go on, once everything is done.
    ///
    /// # Errors
    /// A list has no second page, or does not show what it has to.
    pub fn look_around(&mut self, town: &Town) -> Result<()> {
        let client = town.api.client(Some(self.key.clone()));
        for path in ["/v1/documents", "/v1/batches", "/v1/dead-letters", "/v1/export"] {
            let answer = client.get(&format!("{path}?limit=1"));
            ensure!(answer.status == 200, "{path}: {}", answer.text());
            let next = answer.json()["next"].as_str().map(str::to_owned);
            self.cursors.push((path, next.with_context(|| format!("{path} has one page"))?));
        }
        for batch in &mut self.scratch {
            let made = accepted(client.post("/v1/batches", &json!({"name": "scratch"})))?;
            *batch = made["id"].as_str().context("an id")?.to_owned();
        }
        self.check(town)
    }

    /// Ids of its documents that no extractor can read.
    pub fn broken(&self) -> impl Iterator<Item = &String> {
        self.documents.iter().zip(&self.uris).filter(|(_, uri)| is_broken(uri)).map(|(id, _)| id)
    }

    /// Everything that it brought is there as it was.
    ///
    /// # Errors
    /// Something is not.
    pub fn check(&self, town: &Town) -> Result<()> {
        let client = town.api.client(Some(self.key.clone()));
        for (id, uri) in self.documents.iter().zip(&self.uris) {
            let shown = client.get(&format!("/v1/documents/{id}")).json();
            let expected = if is_broken(uri) { "failed" } else { "committed" };
            ensure!(shown["uri"] == *uri && shown["state"] == expected, "{uri} is not as it was: {shown}");
            ensure!(shown["deleted"] != true, "{uri} was deleted");
        }
        for id in &self.batches {
            let shown = client.get(&format!("/v1/batches/{id}")).json();
            ensure!(shown["state"] == "done", "a batch is not as it was: {shown}");
        }
        let export = client.get("/v1/export?limit=1000").text();
        ensure!(export.contains(&self.marks.text), "its texts are not in its export");
        Ok(())
    }
}

/// Whether what is at this place is one of those that no extractor can read.
fn is_broken(uri: &str) -> bool {
    uri.ends_with(".pdf")
}

fn accepted(answer: Answer) -> Result<Value> {
    ensure!(answer.status == 202, "{} {}", answer.status, answer.text());
    Ok(answer.json())
}
