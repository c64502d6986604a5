//! Where the concept graph is: in the ledger's server, unless Neo4j is named.

use super::resolve::Judge;
use super::{Graph, Neo4j};
use crate::neo4j::Options;

/// The store of the concept graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GraphStore {
    /// The ledger's server.
    Postgres,
    /// A Neo4j server.
    Neo4j(Options),
}

impl Judge<'_> {
    pub(super) fn graph(&mut self, given: &Graph) -> Option<GraphStore> {
        let neo4j = &given.neo4j;
        // The pool's size may come from a variable that is set for all.
        let sized = Neo4j { max_connection_pool_size: neo4j.max_connection_pool_size, ..Neo4j::default() };
        if *neo4j == sized {
            return Some(GraphStore::Postgres);
        }
        if given.postgres.is_some() {
            let what_to_do = "remove one of them: the graph is in one place";
            self.wrong("graph.postgres", None, "is given beside graph.neo4j", what_to_do);
        }
        let password = self.secret(
            "graph.neo4j.password",
            neo4j.password_file.as_deref(),
            neo4j.password_env.as_deref(),
        );
        let tls_ca_file = self.file("graph.neo4j.tlsCaFile", neo4j.tls_ca_file.as_deref());
        let Some(url) = neo4j.url.clone() else {
            if !self.told_of("graph.neo4j.url") {
                self.wrong("graph.neo4j.url", None, "is missing", "add it, or remove graph.neo4j");
            }
            return None;
        };
        if url.contains('@') {
            let what_to_do = "move them to username and to passwordFile or passwordEnv; whoever could read it has seen the password: change it";
            self.wrong("graph.neo4j.url", None, "holds a user or a password", what_to_do);
            return None;
        }
        let options = Options {
            url,
            username: neo4j.username.clone(),
            password,
            tls_ca_file: None,
            database: neo4j.database.clone(),
            pool_size: neo4j.max_connection_pool_size,
            connect_timeout_ms: neo4j.connect_timeout_ms,
            transaction_timeout_ms: neo4j.transaction_timeout_ms,
        };
        if options.validate().is_err() {
            self.wrong("graph.neo4j.url", None, "does not say where Neo4j is", "correct it");
            return None;
        }
        let options = Options { tls_ca_file, ..options };
        if options.validate().is_err() {
            let what = "is given, but the url does not ask for TLS";
            self.wrong("graph.neo4j.tlsCaFile", None, what, "begin the url with bolt+s, or remove this");
        }
        Some(GraphStore::Neo4j(options))
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::super::{Environment, Problem, load};
    use super::*;

    fn graph(section: &str, variables: &[(&str, &str)]) -> Result<GraphStore, Vec<Problem>> {
        let text = format!(
            "queue: {{redis: {{url: 'redis://h'}}}}\nledger: {{postgres: {{url: 'postgresql://h/d'}}}}\n{section}"
        );
        let environment: Environment =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        load(&text, &environment, &|_| Err(io::ErrorKind::NotFound.into())).map(|settings| settings.graph)
    }

    #[test]
    fn without_neo4j_it_is_in_the_ledgers_server() {
        for section in [
            "",
            "graph:",
            "graph: {}",
            "graph: {postgres: {}}",
            "graph: {postgres: }",
            "graph: {neo4j: {}}",
        ] {
            let size = [("NEO4J_MAX_CONNECTION_POOL_SIZE", "7")];
            assert_eq!(graph(section, &size).unwrap(), GraphStore::Postgres, "{section}");
        }
    }

    #[test]
    fn with_its_url_it_is_in_neo4j() {
        let section =
            "graph: {neo4j: {url: 'bolt+s://g', passwordEnv: P, tlsCaFile: /ca.pem, database: d}}";
        let variables = [("P", "hunter2"), ("NEO4J_MAX_CONNECTION_POOL_SIZE", "200")];
        let GraphStore::Neo4j(options) = graph(section, &variables).unwrap() else { panic!("Neo4j") };
        assert_eq!((options.pool_size, options.username.as_str()), (200, "neo4j"));
        assert_eq!(options.password.as_ref().unwrap().expose(), "hunter2");
        assert!(!format!("{options:?}").contains("hunter2"));
        let GraphStore::Neo4j(options) = graph("graph: {neo4j: {url: 'bolt://g'}}", &[]).unwrap() else {
            panic!("Neo4j")
        };
        assert_eq!(options.pool_size, 100);
    }

    #[test]
    fn what_is_wrong_is_told_by_its_key() {
        for (section, path) in [
            ("graph: {neo4j: {username: u}}", "graph.neo4j.url"),
            ("graph: {neo4j: {url: 'bolt://u:hunter2@g'}}", "graph.neo4j.url"),
            ("graph: {neo4j: {url: 'http://hunter2'}}", "graph.neo4j.url"),
            ("graph: {neo4j: {url: 'bolt+ssc://g'}}", "graph.neo4j.url"),
            ("graph: {neo4j: {url: 'bolt://g', tlsCaFile: /ca.pem}}", "graph.neo4j.tlsCaFile"),
            ("graph: {neo4j: {url: 'bolt://g', password: hunter2}}", "graph.neo4j.password"),
            (
                "graph: {neo4j: {url: 'bolt://g', maxConnectionPoolSize: 0}}",
                "graph.neo4j.maxConnectionPoolSize",
            ),
            ("graph: {postgres: {url: x}}", "graph.postgres"),
            ("graph: {postgres: {}, neo4j: {url: 'bolt://g'}}", "graph.postgres"),
        ] {
            let problems = graph(section, &[]).unwrap_err();
            assert_eq!(problems.iter().map(|problem| problem.path.as_str()).collect::<Vec<_>>(), [path]);
            assert!(!format!("{problems:?}").contains("hunter2"), "{problems:?}");
        }
        let wrong = graph("", &[("NEO4J_MAX_CONNECTION_POOL_SIZE", "0")]).unwrap_err();
        assert_eq!(wrong[0].path, "NEO4J_MAX_CONNECTION_POOL_SIZE");
    }
}
