//! What the judge must find, shown to it one by one.

use super::super::inventory::tests::some;
use super::*;

/// What servers hold where everything is well.
fn well(inventory: &Inventory) -> Seen {
    let mut seen = Seen::default();
    for (number, entry) in inventory.entries.iter().enumerate() {
        let id = format!("document-{number}");
        seen.documents.push(SeenDocument {
            id: id.clone(),
            key: entry.key.clone(),
            state: "committed".into(),
            content: entry.current.sha256.iter().map(|byte| format!("{byte:02x}")).collect(),
            failure: None,
        });
        for mark in entry.current.marks() {
            let chunk = format!("chunk of {mark}");
            seen.entries.push(SeenEntry {
                document: id.clone(),
                chunk: chunk.clone(),
                text: (mark.to_owned(), 0),
                vector: true,
                graph: true,
            });
            seen.texts.insert(chunk.clone(), format!("In {mark} it stands."));
            seen.vectors.push(chunk.clone());
            seen.evidence.push(SeenEvidence { chunk, mentions: 1, concepts: 1 });
        }
    }
    seen
}

fn found(change: impl FnOnce(&mut Inventory, &mut Seen)) -> Vec<&'static str> {
    let mut inventory = some(4);
    let mut seen = well(&inventory);
    change(&mut inventory, &mut seen);
    judge(&inventory, &seen).short()
}

#[test]
fn what_is_well_is_not_complained_about() {
    assert!(found(|_, _| {}).is_empty());
}

#[test]
fn each_kind_of_harm_is_found() {
    assert_eq!(found(|_, seen| drop(seen.documents.remove(1))), ["lost"]);
    assert_eq!(found(|_, seen| seen.documents[1].state = "queued".into()), ["lost"]);
    assert_eq!(found(|_, seen| seen.documents[1].content.clear()), ["lost"]);
    assert_eq!(found(|_, seen| drop(seen.vectors.pop())), ["partial"]);
    assert_eq!(found(|_, seen| drop(seen.evidence.pop())), ["partial"]);
    assert_eq!(found(|_, seen| drop(seen.texts.pop_first())), ["partial"]);
    assert_eq!(found(|_, seen| seen.evidence[0].mentions = 2), ["duplicate"]);
    assert_eq!(found(|_, seen| seen.vectors.push(seen.vectors[0].clone())), ["duplicate"]);
    assert_eq!(found(|_, seen| seen.documents.push(seen.documents[0].clone())), ["duplicate"]);
    assert_eq!(found(|_, seen| seen.concepts_twice = 1), ["duplicate"]);
    assert_eq!(found(|_, seen| drop(seen.texts.insert("x".into(), String::new()))), ["stale"]);
    assert_eq!(found(|_, seen| seen.concepts_loose = 1), ["stale"]);
    assert_eq!(found(|_, seen| seen.queue = 1), ["verify"]);
}

#[test]
fn an_earlier_content_is_lost_and_stale() {
    let edit = |inventory: &mut Inventory, _: &mut Seen| {
        let next = inventory.edited(0);
        inventory.acknowledged(0, String::new(), next);
    };
    let found = found(edit);
    assert!(found.contains(&"lost") && found.contains(&"stale"), "{found:?}");
}

#[test]
fn dead_letters_are_told_apart() {
    let dead = |key: &str, code: &str| SeenDocument {
        id: key.to_owned(),
        key: key.to_owned(),
        state: "failed".into(),
        content: String::new(),
        failure: Some(code.to_owned()),
    };
    let with = |code: &'static str| {
        found(move |inventory, seen| {
            let (key, _) = inventory.fresh_poison();
            seen.documents.push(dead(&key, code));
            inventory.poison.insert(key);
        })
    };
    assert!(with(POISON_CODE).is_empty());
    assert_eq!(with("damaged"), ["poison_wrong"]);
    assert_eq!(found(|_, seen| seen.documents[0].state = "failed".into()), ["innocent_dead"]);
}
