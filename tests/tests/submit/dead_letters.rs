//! `docmill dead-letters` against a server.

use docmill_tests::services::process::wait_until;
use serde_json::json;

use super::letters::{LETTERS, Letters, TOGETHER};
use super::{DOCUMENTS_FAILED, place, prose};

#[test]
fn dead_letters_are_shown_and_replayed() {
    let (house, _api, user, client) = place();
    let _worker = house.worker();
    let path = user.write("broken.pdf", &[0, 1, 2, 255, 0]);
    user.write("fine.txt", prose(1).as_bytes());
    let docs = user.docs();
    let (told, code) = user.json(&["submit", docs.to_str().unwrap(), "--wait", "--timeout", "80"]);
    assert_eq!((code, &told["settled"]["documents"]["failed"]), (DOCUMENTS_FAILED, &json!(1)), "{told}");
    let (letters, code) = user.json(&["dead-letters"]);
    assert_eq!((code, letters["deadLetters"].as_array().unwrap().len()), (0, 1));
    let uri = letters["deadLetters"][0]["uri"].as_str().unwrap();
    let (letter, _) = user.json(&["dead-letters", "show", uri]);
    assert!(letter["reason"]["whatToDo"].is_string(), "{letter}");
    assert_eq!((&letter["reason"]["stage"], &letter["starts"]), (&json!("extract"), &json!(0)), "{letter}");
    let shown = String::from_utf8(user.output(&["dead-letters", "show", uri]).stdout).unwrap();
    assert!(shown.contains("in stage extract") && shown.contains("0 extractors died"), "{shown}");
    let results = user.output(&["results", told["batch"].as_str().unwrap(), "--state", "failed"]);
    let results = String::from_utf8(results.stdout).unwrap();
    assert!(results.contains("broken.pdf") && !results.contains("fine.txt"), "{results}");
    let failed_with = letter["reason"]["code"].as_str().unwrap();
    let other = user.json(&["dead-letters", "replay", "--code", "empty"]);
    assert_eq!((other.1, &other.0["replayed"]), (0, &json!(0)), "none failed so");
    let (replayed, code) = user.json(&["dead-letters", "replay", "--code", failed_with]);
    assert_eq!((code, &replayed["replayed"]), (0, &json!(1)));
    wait_until("it failed again", || {
        client.get("/v1/dead-letters").json()["deadLetters"].as_array().unwrap().len() == 1
    });
    // What cannot be handed in costs only itself.
    std::fs::remove_file(path).unwrap();
    user.write("large.bin", &vec![b'x'; 3 << 20]);
    let (told, code) = user.json(&["submit", docs.to_str().unwrap(), "--max-file-mib", "2"]);
    assert_eq!(
        (code, &told["failed"], &told["unchanged"]),
        (DOCUMENTS_FAILED, &json!(1), &json!(1)),
        "{told}"
    );
    assert_eq!(told["failures"][0]["code"], "too_large");
}

#[test]
fn a_replay_that_is_killed_is_repeated_and_replays_each_once() {
    let (house, _api, user, _client) = place();
    let letters = Letters::write(&house);
    let held = letters.hold_one_of_the_second();
    let args = ["dead-letters", "replay", "--all"];
    let process = user.begin(&args, &user.home.path().join("log"));
    wait_until("the second transaction", || house.waiting_for(&held) > 0);
    // Dropped is killed.
    drop(process);
    letters.replayed_once(TOGETHER);
    drop(held);
    let (told, code) = user.json(&args);
    assert_eq!(code, 0, "{told}");
    // The API may have gone on with what nobody waited for any more.
    assert!(told["replayed"].as_u64().unwrap() <= (LETTERS - TOGETHER) as u64, "{told}");
    letters.replayed_once(LETTERS);
}
