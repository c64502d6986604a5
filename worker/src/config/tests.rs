use std::io;

use proptest::prelude::*;

use super::*;
use crate::extract::SandboxMode;

const GOOD: &str = "
queue: {redis: {url: 'rediss://cache:6380/1', username: docmill, passwordFile: /secrets/redis, leaseMs: 60000}}
ledger: {postgres: {url: 'postgresql://db:5433/docs', passwordEnv: PG_PASSWORD}}
";

fn environment(pairs: &[(&str, &str)]) -> Environment {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn read_secret(path: &Path) -> io::Result<String> {
    match path.to_str() {
        Some("/secrets/redis") => Ok("hunter2\n".to_owned()),
        _ => Err(io::ErrorKind::NotFound.into()),
    }
}

fn problems(text: &str, pairs: &[(&str, &str)]) -> Vec<Problem> {
    load(text, &environment(pairs), &read_secret).unwrap_err()
}

#[test]
fn a_good_file_becomes_settings_and_the_environment_overrides_it() {
    let environment =
        environment(&[("PG_PASSWORD", "hunter3"), ("MAX_FILE_SIZE_MB", "77"), ("PDF_DPI", "")]);
    let settings = load(GOOD, &environment, &read_secret).unwrap();
    assert_eq!(settings.redis.credentials.password.as_ref().unwrap().expose(), "hunter2");
    assert_eq!(settings.postgres.password.as_ref().unwrap().expose(), "hunter3");
    assert_eq!((settings.extract.limits.file_mib, settings.extract.limits.ocr_dpi), (77, 200));
    assert_eq!((settings.lease.lease_ms, settings.redis.lease_ms), (60_000, 60_000));
    assert_eq!(settings.redis.key_prefix.as_str(), "docmill:default");
    let shown = format!("{settings:?}");
    assert!(!shown.contains("hunter"), "{shown}");
}

#[test]
fn every_key_of_the_table_is_a_key_of_the_types() {
    let defaults = serde_json::to_value(WorkerConfig::default()).unwrap();
    fn leaves(at: &str, value: &serde_json::Value, into: &mut Vec<String>) {
        for (name, value) in value.as_object().unwrap() {
            let path = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
            if value.is_object() { leaves(&path, value, into) } else { into.push(path) }
        }
    }
    let mut typed = Vec::new();
    leaves("", &defaults, &mut typed);
    let mut listed: Vec<String> = KEYS.iter().map(|key| key.path.to_owned()).collect();
    typed.sort();
    listed.sort();
    assert_eq!(typed, listed);
    for key in KEYS {
        let default = defaults.pointer(&format!("/{}", key.path.replace('.', "/"))).unwrap();
        if let (Kind::Integer { min, max }, Some(value)) = (key.kind, default.as_u64()) {
            assert!((min..=max).contains(&value), "{}", key.path);
        }
    }
}

#[test]
fn all_problems_of_a_bad_file_are_told_at_once() {
    let bad = "
pipeline: Not_A_Name
concurrency: many
cleanupDelay: 5
password: hunter2
queue:
  redis:
    url: redis://me:hunter2@cache
    passwordFile: /secrets/none
    leaseMs: 5
ledger:
  postgres:
    passwordEnv: hunter2
    poolSize: 0
    schema: pg_x
extract: hunter2
";
    let found = problems(bad, &[("PDF_DPI", "9"), ("MAX_PDF_PAGES", "hunter2")]);
    let lines: Vec<String> = found.iter().map(Problem::to_string).collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn what_may_lack_of_the_sandbox_is_chosen_by_name() {
    let chosen = |text: &str, pairs: &[(&str, &str)]| {
        let pairs = [pairs, &[("PG_PASSWORD", "x")]].concat();
        load(&format!("{GOOD}{text}"), &environment(&pairs), &read_secret)
            .map(|settings| settings.extract.sandbox)
    };
    assert_eq!(chosen("", &[]), Ok(SandboxMode::Required));
    assert_eq!(chosen("extract: {sandbox: bestEffort}", &[]), Ok(SandboxMode::BestEffort));
    // Some readers of YAML take this word for false.
    assert_eq!(chosen("extract: {sandbox: off}", &[]), Ok(SandboxMode::Off));
    assert_eq!(chosen("extract: {sandbox: 'off'}", &[]), Ok(SandboxMode::Off));
    assert_eq!(
        chosen("extract: {sandbox: off}", &[("DOCMILL_SANDBOX", "required")]),
        Ok(SandboxMode::Required)
    );
    for wrong in ["none", "true", "1", "[off]"] {
        let found = chosen(&format!("extract: {{sandbox: {wrong}}}"), &[]).unwrap_err();
        assert!(found[0].to_string().contains("allowed: required, bestEffort, off"), "{}", found[0]);
    }
}

#[test]
fn passwords_of_documents_are_in_a_file_or_a_variable() {
    let found = |text: &str, value: &str| {
        let environment = environment(&[("PG_PASSWORD", "x"), ("PASSWORDS", value)]);
        load(&format!("{GOOD}{text}"), &environment, &read_secret)
    };
    let shown = |settings: &Settings| {
        let passwords = settings.extract.passwords.iter();
        passwords.map(|password| password.expose().to_owned()).collect::<Vec<_>>()
    };
    let mut settings = found("extract: {passwordsFile: /secrets/redis}", "").unwrap();
    assert!(shown(&settings).is_empty(), "who does not extract does not have them");
    settings.read_passwords(&read_secret).unwrap();
    assert_eq!(shown(&settings), ["hunter2"]);
    let mut settings = found("extract: {passwordsEnv: PASSWORDS}", "hunter3\nhunter4\n").unwrap();
    settings.read_passwords(&read_secret).unwrap();
    assert_eq!(shown(&settings), ["hunter3", "hunter4"]);
    assert!(!format!("{settings:?}").contains("hunter"));
    assert!(shown(&found("", "").unwrap()).is_empty());
    let problems = found("extract: {passwordsEnv: PASSWORDS}", &"hunter2".repeat(20)).unwrap_err();
    assert_eq!(problems[0].path, "extract.passwordsEnv");
    assert!(!problems[0].to_string().contains("hunter"), "{}", problems[0]);
}

#[test]
fn a_file_of_passwords_is_judged_by_who_reads_it() {
    let loaded = |keys: &str| {
        load(&format!("{GOOD}extract: {{{keys}}}"), &environment(&[("PG_PASSWORD", "x")]), &read_secret)
    };
    let of_file = |text: &str| {
        let mut settings = loaded("passwordsFile: /secrets/passwords").unwrap();
        settings.read_passwords(&|_| Ok(text.to_owned())).map_err(|problems| problems[0].to_string())
    };
    assert_eq!(of_file("hunter3\n"), Ok(()));
    let long = of_file(&format!("a\n{}", "hunter2".repeat(20))).unwrap_err();
    assert!(long.starts_with("extract.passwordsFile") && long.contains("line 2"), "{long}");
    assert!(!long.contains("hunter2"), "{long}");
    assert!(of_file("\n").unwrap_err().contains("empty secret"));
    let mut gone = loaded("passwordsFile: /secrets/passwords").unwrap();
    let problems = gone.read_passwords(&read_secret).unwrap_err();
    assert!(problems[0].to_string().contains("mount the Secret there"), "{}", problems[0]);
    for (keys, path) in [
        ("passwordsFile: hunter2", "extract.passwordsFile"),
        ("passwordsFile: /a, passwordsEnv: PG_PASSWORD", "extract.passwordsEnv"),
    ] {
        let problems = loaded(keys).unwrap_err();
        assert_eq!((problems.len(), problems[0].path.as_str()), (1, path), "{problems:?}");
        assert!(!format!("{problems:?}").contains("hunter2"), "{problems:?}");
    }
}

const OBJECTS: &str = "
objects: {s3: {bucket: docs, endpoint: 'http://store:9000', allowHttp: true, prefix: a/b/,
  accessKeyIdEnv: S3_ID, secretAccessKeyFile: /secrets/redis}}
scratch: {path: /scratch, limitMib: 64}
";

#[test]
fn objects_are_in_one_place_with_their_keys() {
    let environment = environment(&[("PG_PASSWORD", "x"), ("S3_ID", "me"), ("S3_BUCKET", "others")]);
    let settings = load(&format!("{GOOD}{OBJECTS}"), &environment, &read_secret).unwrap();
    let Some(crate::objects::ObjectsOptions::S3(s3)) = &settings.objects else { panic!("{settings:?}") };
    assert_eq!((s3.bucket.as_str(), s3.prefix.as_deref(), s3.allow_http), ("others", Some("a/b"), true));
    let (id, secret) = s3.keys.as_ref().unwrap();
    assert_eq!((id.expose(), secret.expose()), ("me", "hunter2"));
    assert_eq!((settings.scratch.path.as_path(), settings.scratch.limit_mib), (Path::new("/scratch"), 64));
    assert!(!format!("{settings:?}").contains("hunter"));
    let without = load(GOOD, &environment_of_good(), &read_secret).unwrap();
    assert_eq!(without.objects, None);
    let volume = format!("{GOOD}objects: {{volume: {{path: /objects}}}}");
    let volume = load(&volume, &environment_of_good(), &read_secret).unwrap();
    assert_eq!(volume.objects, Some(crate::objects::ObjectsOptions::Volume("/objects".into())));
}

fn environment_of_good() -> Environment {
    environment(&[("PG_PASSWORD", "x")])
}

#[test]
fn all_problems_of_objects_are_told_at_once() {
    let bad = "
objects:
  s3: {endpoint: 'http://me:hunter2@store', prefix: ../x, accessKeyIdFile: /secrets/redis, allowHttp: hunter2}
  gcs: {bucket: 'No Bucket', serviceAccountFile: hunter2}
  azure: {account: docs, endpoint: 'http://azure'}
  volume: {path: relative}
scratch: {path: relative, limitMib: 0}
";
    let found = problems(&format!("{GOOD}{bad}"), &[("PG_PASSWORD", "x")]);
    let lines: Vec<String> = found.iter().map(Problem::to_string).collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn numbers_must_fit_each_other() {
    let text = GOOD.replace("leaseMs: 60000", "leaseMs: 9000");
    let found = problems(&text, &[("PG_PASSWORD", "x")]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].path, "queue.redis.responseTimeoutMs");
    let text = format!("{GOOD}leaseStallMs: 10000\ndocumentMaxMs: 20000\n");
    let found = problems(&text, &[("PG_PASSWORD", "x")]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].to_string().contains("at most half of leaseStallMs"), "{}", found[0]);
    let limits = "extract: {limits: {pageMs: 5000, documentMs: 15000}}\n";
    let lease = load(&format!("{text}{limits}"), &environment_of_good(), &read_secret).unwrap().lease;
    assert_eq!((lease.lease_stall_ms, lease.document_max_ms), (10_000, 20_000));
}

#[test]
fn what_is_no_mapping_or_no_yaml_is_said_without_quoting_it() {
    for text in ["hunter2", "- hunter2", "a: [hunter2", "a: 1\na: hunter2", "a: *hunter2"] {
        let found = problems(text, &[]);
        assert!(!format!("{found:?}").contains("hunter2"), "{found:?}");
    }
    assert_eq!(problems("", &[]).len(), 2, "both urls are missing");
}

proptest! {
    /// Wherever somebody may write a secret by mistake, no problem and no debug output repeats it.
    #[test]
    fn secrets_are_never_repeated(core in "[A-Za-z0-9!_.-]{8,20}", place in 0_usize..15) {
        let secret = format!("Zq{core}9!");
        let redis = |key: &str, value: &str| format!("queue: {{redis: {{{key}: '{value}'}}}}");
        let postgres = |key: &str, value: &str| format!("ledger: {{postgres: {{{key}: '{value}'}}}}");
        let s = secret.as_str();
        let text = match place {
            0 => redis("url", &format!("redis://me:{s}@host")),
            1 => redis("url", s),
            2 => redis("url", &format!("redis://:{s}")),
            3 => redis("password", s),
            4 => redis("passwordFile", s),
            5 => redis("passwordEnv", s),
            6 => postgres("url", &format!("postgresql://u:{s}@host/db")),
            7 => postgres("url", &format!("postgresql://host/db?password={s}")),
            8 => postgres("passwordEnv", s),
            9 => postgres("poolSize", s),
            10 => format!("queue: '{s}'"),
            11 => format!("secretToken: '{s}'"),
            12 => format!("objects: {{s3: {{bucket: docs, endpoint: 'http://me:{s}@host'}}}}"),
            13 => format!("objects: {{s3: {{bucket: docs, secretAccessKey: '{s}', secretAccessKeyEnv: '{s}'}}}}"),
            _ => "queue: {redis: {url: 'redis://h', passwordEnv: P}}\nledger: {postgres: {url: 'postgresql://h/d', passwordFile: /p}}".to_owned(),
        };
        let read = |_: &Path| Ok(secret.clone());
        let shown = match load(&text, &environment(&[("P", s)]), &read) {
            Ok(settings) => format!("{settings:?}"),
            Err(problems) => {
                let lines: Vec<String> = problems.iter().map(Problem::to_string).collect();
                format!("{problems:?} {lines:?} {}", serde_json::to_string(&problems).unwrap())
            }
        };
        prop_assert!(!shown.contains(s), "{shown}");
    }
}
