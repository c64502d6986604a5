//! The tables of `docs/reference/rbac.md` as data.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail, ensure};
use docmill_tests::cluster::install::OPERATOR;

/// What may be done: one verb on one kind of objects, or on one object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Grant {
    /// API group; "" for the core one.
    pub group: String,
    /// In the plural, such as `deployments/scale`; a path where it is no resource.
    pub resource: String,
    /// The one object; none for all.
    pub name: Option<String>,
    /// The verb.
    pub verb: String,
}

/// Several.
pub type Grants = BTreeSet<Grant>;

impl Grant {
    /// On all objects of a kind.
    pub fn of(group: &str, resource: &str, verb: &str) -> Self {
        Self { group: group.to_owned(), resource: resource.to_owned(), name: None, verb: verb.to_owned() }
    }

    /// The same on one object.
    pub fn named(self, name: &str) -> Self {
        Self { name: Some(name.to_owned()), ..self }
    }

    /// Whether what is asked for is part of this.
    pub fn covers(&self, asked: &Self) -> bool {
        let is_of_kind = self.group == asked.group && self.resource == asked.resource;
        is_of_kind && self.verb == asked.verb && (self.name.is_none() || self.name == asked.name)
    }
}

/// The rights that the page names, by where they hold.
pub struct Table {
    /// On what belongs to pipelines: in all namespaces, or in the one of a release for one.
    pub pipelines: Grants,
    /// Of a release for the whole cluster only.
    pub cluster: Grants,
    /// In the operator's own namespace.
    pub own: Grants,
}

impl Table {
    /// Reads the page.
    pub fn read(page: &str) -> Result<Self> {
        Ok(Self {
            pipelines: section(page, "Rights on pipelines")?,
            cluster: section(page, "Rights of a release for the whole cluster")?,
            own: section(page, "Rights in the operator's own namespace")?,
        })
    }

    /// All of them, wherever they hold.
    pub fn all(&self) -> Grants {
        [&self.pipelines, &self.cluster, &self.own].into_iter().flatten().cloned().collect()
    }
}

/// What the table below a heading says.
fn section(page: &str, heading: &str) -> Result<Grants> {
    let (_, below) =
        page.split_once(&format!("\n## {heading}\n")).with_context(|| format!("no heading {heading}"))?;
    let below = below.split("\n## ").next().unwrap_or_default();
    let mut lines = below.lines().filter(|line| line.starts_with('|'));
    let head = cells(lines.next().with_context(|| format!("no table below {heading}"))?);
    let mut all = Grants::new();
    for line in lines.skip(1) {
        let cells = cells(line);
        ensure!(cells.len() == head.len(), "a row of other columns: {line}");
        let cell = |title: &str| head.iter().position(|other| *other == title).map(|column| cells[column]);
        let needed = |title: &str| cell(title).with_context(|| format!("{heading}: no column {title}"));
        let group = quoted(needed("API group")?).first().copied().unwrap_or_default();
        let name = name(cell("names").unwrap_or_default())?;
        for resource in quoted(needed("resource")?) {
            for verb in needed("verbs")?.split(", ") {
                let grant = Grant { name: name.clone(), ..Grant::of(group, resource, verb) };
                ensure!(all.insert(grant), "{verb} {resource} stands there twice");
            }
        }
    }
    ensure!(!all.is_empty(), "nothing below {heading}");
    Ok(all)
}

/// Cells of a row, without what stands around them.
fn cells(row: &str) -> Vec<&str> {
    let inner = row.trim().trim_start_matches('|').trim_end_matches('|');
    inner.split('|').map(str::trim).collect()
}

/// What stands between backticks.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

/// The object that a cell names, if it does.
fn name(cell: &str) -> Result<Option<String>> {
    match (cell, quoted(cell).as_slice()) {
        ("", _) => Ok(None),
        ("the ClusterRole itself", _) => Ok(Some(OPERATOR.to_owned())),
        (_, [name]) => Ok(Some((*name).to_owned())),
        _ => bail!("which object is {cell}?"),
    }
}

#[test]
fn a_row_is_a_grant_for_each_resource_and_verb() {
    let page = "\n## Some\n\nWords.\n\n\
                | API group | resource | names | verbs | why |\n|---|---|---|---|---|\n\
                | `a` | `b`, `c/d` | | get, list | x |\n| | `e` | `f` | patch | y |\n\n## Other\n";
    let found = section(page, "Some").unwrap();
    let wanted = [
        Grant::of("", "e", "patch").named("f"),
        Grant::of("a", "b", "get"),
        Grant::of("a", "b", "list"),
        Grant::of("a", "c/d", "get"),
        Grant::of("a", "c/d", "list"),
    ];
    assert_eq!(found, Grants::from(wanted));
}
