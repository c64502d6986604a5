//! `kubectl docmill` against the cluster: the program by itself, and as kubectl finds it on the path. All that it says is
//! said to people and, as JSON, to programs.

use std::ffi::OsString;
use std::fs::File as Opened;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::{COMMIT_MAX, FIRST, NAMESPACE, SCALE_MAX, World};
use crate::cluster::documents::{File, texts};
use crate::cluster::install::repository;
use crate::cluster::{Cluster, condition, merge, wait_for};
use crate::corpus::damaged_pdf;
use crate::services::process::free_port;

/// The program.
const PROGRAM: &str = "kubectl-docmill";
/// A node that all samples fit.
const NODE: &str = "--node=16,32Gi";
/// How long nobody may come to a paused pipeline.
const PAUSED_FOR: Duration = Duration::from_secs(3);
/// Longest time until it is known that nobody answers.
const REFUSED_MAX: Duration = Duration::from_secs(30);
/// Seeds of a file that is damaged, and of texts.
const SEEDS: (u64, u64) = (1, 10);

pub(super) fn run(world: &World<'_>) -> Result<String> {
    let plugin = Plugin::of(world.cluster)?;
    let folder = tempfile::tempdir()?;
    looks(world, &plugin).context("what looks")?;
    validates(world, &plugin, folder.path()).context("what checks files")?;
    fails(&plugin, folder.path()).context("what fails")?;
    let code = dead_letters(world, &plugin).context("dead letters")?;
    let (paused_s, resumed_s) = pauses(world, &plugin).context("a pause")?;
    Ok(format!(
        "a dead letter ({code}) listed, shown and replayed; paused after {paused_s:.1} s, running again after \
         {resumed_s:.1} s"
    ))
}

/// What only looks: `status`, `top`, `explain-scaling`, `events`.
fn looks(world: &World<'_>, plugin: &Plugin<'_>) -> Result<()> {
    let name = world.pipeline.name();
    plugin.text(&["status"], &["NAME", "READY", name])?;
    plugin.text(&["status", "--all-namespaces"], &["NAMESPACE", NAMESPACE, name])?;
    let all = plugin.json(&["status"])?;
    ensure!(all["pipelines"][0]["metadata"]["name"] == name, "{all}");
    plugin.text(
        &["status", name],
        &[&format!("{name} in {NAMESPACE}: ready ("), "Conditions", "last good"],
    )?;
    let one = plugin.json(&["status", name])?;
    ensure!(condition(&one, "Ready").is_some_and(|(is_ready, _)| is_ready), "{one}");
    ensure!(one["metadata"]["managedFields"].is_null(), "{one}");

    plugin.text(&["top"], &["WAITING", "READY", name])?;
    wait_for("the numbers of top", SCALE_MAX, || {
        let top = plugin.json(&["top", name])?;
        let (numbers, workers) = (&top["pipelines"][0], world.workers.now());
        ensure!(numbers["desired"] == workers && numbers["ready"] == workers, "{workers} workers: {top}");
        ensure!(numbers["depth"]["total"] == 0, "{top}");
        Ok(())
    })?;

    let hpa = format!("HPA {}", world.pipeline.workers());
    plugin.text(&["explain-scaling", name], &["Who scales", "Builtin:", &hpa, "What would change it"])?;
    let why = plugin.json(&["explain-scaling", name])?;
    ensure!(why["provider"] == "Builtin" && why["hpa"]["name"] == world.pipeline.workers(), "{why}");
    ensure!(why["reasons"].is_array() && !why["changes"][0].is_null(), "{why}");

    plugin.text(&["events", name], &["REASON", "ScaledUp"])?;
    let events = plugin.json(&["events", name])?;
    let all = events["events"].as_array().context("a list of Events")?;
    ensure!(all.iter().any(|event| event["reason"] == "ScaledUp"), "{events}");

    // As people call it.
    let said = plugin.through_kubectl(&["status", name, "--json"])?;
    ensure!(said.code == Some(0) && said.value()?["metadata"]["name"] == name, "{said:?}");
    let said = plugin.through_kubectl(&["status", "nobody"])?;
    ensure!(said.code == Some(1) && said.errors.contains("error[unknown_pipeline]"), "{said:?}");
    Ok(())
}

/// `validate`: of files alone, and with what only the cluster knows.
fn validates(world: &World<'_>, plugin: &Plugin<'_>, folder: &Path) -> Result<()> {
    let sample = repository("manifests/samples/minimal.yaml");
    let good = text_of(&sample)?;
    plugin.text(&["validate", "-f", good], &[": valid", "note: sizes were not checked"])?;
    plugin.text(&["validate", "-f", good, NODE], &[": valid"])?;
    let checked = plugin.json(&["validate", "-f", good, NODE])?;
    ensure!(checked["valid"] == true && checked["documents"][0]["notes"] == json!([]), "{checked}");

    // One rule of the schema, and one that needs the catalogue.
    let bad = folder.join("bad.yaml");
    std::fs::write(
        &bad,
        "apiVersion: docmill.dev/v1alpha1\nkind: IngestionPipeline\nmetadata: {name: bad}\n\
         spec: {instanceType: c5.4xlrge, workers: {replicas: {min: 5, max: 2}}}\n",
    )?;
    let wrong = [
        "2 problems",
        "IP-03 spec.workers.replicas.min",
        "lower min or raise max",
        "VP-01 spec.instanceType",
        "near it are c5.4xlarge",
    ];
    plugin.says(&["validate", "-f", text_of(&bad)?], 1, &wrong)?;
    let said = plugin.ask(&["validate", "-f", "-", "--json"], Some(&bad))?;
    let checked = said.value()?;
    let rules = [0_usize, 1].map(|number| checked["documents"][0]["problems"][number]["rule"].clone());
    ensure!(said.code == Some(1) && checked["valid"] == false && rules == ["IP-03", "VP-01"], "{said:?}");

    let read = std::fs::read_to_string(&sample)?;
    let sample: Value = serde_saphyr::from_str(&read).map_err(|error| anyhow::anyhow!("{error}"))?;
    let with = |file: &str, patch: &Value| {
        let (path, mut object) = (folder.join(file), sample.clone());
        merge(&mut object, patch);
        std::fs::write(&path, object.to_string())?;
        Ok::<_, anyhow::Error>(path)
    };
    let new = with("new.json", &json!({"metadata": {"name": "another"}}))?;
    plugin.text(&["validate", "-f", text_of(&new)?, NODE, "--server"], &[": valid"])?;
    let there = world.pipeline.object(&["ingestionpipelines"])?["items"].as_array().map_or(0, Vec::len);
    ensure!(there == 1, "a check has made a pipeline: there are {there}");
    let storage = json!({"spec": {"stores": {"ledger": {"postgres": {"managed": {"storage": "1Gi"}}}}}});
    let smaller = with("smaller.json", &storage)?;
    plugin.text(&["validate", "-f", text_of(&smaller)?, NODE], &[": valid"])?;
    plugin.says(&["validate", "-f", text_of(&smaller)?, NODE, "--server"], 1, &["1 problem", "IP-16"])?;
    Ok(())
}

/// What cannot be done, each with its code.
fn fails(plugin: &Plugin<'_>, folder: &Path) -> Result<()> {
    for command in ["status", "top", "explain-scaling", "events", "pause", "resume"] {
        plugin.fails(&[command, "nobody"], "unknown_pipeline")?;
    }
    plugin.fails(&["dead-letters", "list", "nobody"], "unknown_pipeline")?;

    let nobody = folder.join("kubeconfig");
    let cluster =
        json!({"name": "nobody", "cluster": {"server": format!("http://127.0.0.1:{}", free_port())}});
    let context = json!({"name": "nobody", "context": {"cluster": "nobody", "user": "nobody"}});
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "clusters": [cluster], "contexts": [context],
        "users": [{"name": "nobody", "user": {}}], "current-context": "nobody",
    });
    std::fs::write(&nobody, kubeconfig.to_string())?;
    let began = Instant::now();
    plugin.fails(&["status", "--kubeconfig", text_of(&nobody)?], "cluster_unreachable")?;
    ensure!(began.elapsed() < REFUSED_MAX, "nobody answers: known after {:?}", began.elapsed());
    plugin.fails(&["status", "--context", "nobody"], "bad_kubeconfig")?;
    plugin.fails(&["status", "--kubeconfig", text_of(&folder.join("none"))?], "bad_kubeconfig")?;

    let other = folder.join("other.yaml");
    std::fs::write(&other, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: other}\n")?;
    plugin.fails(&["validate", "-f", text_of(&other)?], "no_pipeline")?;
    plugin.fails(&["validate", "-f", text_of(&folder.join("none"))?], "file_unreadable")?;
    plugin.says(&["status", "one", "two"], 2, &[])?;
    Ok(())
}

/// A file that nobody can read is given up, listed, shown and tried again. Gives the code of its failure.
fn dead_letters(world: &World<'_>, plugin: &Plugin<'_>) -> Result<String> {
    let name = world.pipeline.name();
    let batch = world.api.batch("a damaged file")?;
    let file = File { name: "damaged.pdf".to_owned(), bytes: damaged_pdf(SEEDS.0) };
    let accepted = world.api.upload(&batch, &[file])?;
    let id = accepted.ids.first().context("an upload has a document")?.as_str();
    let given_up = || {
        wait_for("a dead letter", COMMIT_MAX, || {
            let state = world.api.state(id)?;
            ensure!(state == "failed", "it is {state}");
            Ok(())
        })
    };
    given_up()?;
    let list = plugin.json(&["dead-letters", "list", name])?;
    let letters = list["deadLetters"].as_array().context("a list of dead letters")?;
    let letter = letters.iter().find(|letter| letter["id"] == id).context("it is in the list")?;
    let code = letter["reason"]["code"].as_str().context("a dead letter has a code")?;
    plugin.text(&["dead-letters", "list", name], &[id, code])?;
    let shown = plugin.json(&["dead-letters", "show", name, id])?;
    ensure!(shown["id"] == id && shown["reason"]["code"] == code, "{shown}");
    plugin.text(&["dead-letters", "show", name, id], &[id, code, "help: "])?;
    let replayed = plugin.json(&["dead-letters", "replay", name, id])?;
    ensure!(replayed["replayed"] == 1, "{replayed}");
    given_up()?;
    plugin.text(&["dead-letters", "replay", name, "--code", code], &["queued again"])?;
    given_up()?;
    Ok(code.to_owned())
}

/// Workers go and none comes for uploads, until they may. Gives the seconds until it was paused, and ran again.
fn pauses(world: &World<'_>, plugin: &Plugin<'_>) -> Result<(f64, f64)> {
    let (name, before) = (world.pipeline.name(), world.workers.now());
    ensure!(before > 0, "there are no workers to pause");
    let mark = world.workers.mark();
    let began = Instant::now();
    plugin.text(&["pause", name, "--wait", "--timeout", "180"], &[&format!("{name} is paused")])?;
    let paused_s = began.elapsed().as_secs_f64();
    world.workers.wait(mark, SCALE_MAX, |now| now == 0).context("no workers are asked for")?;
    let (is_paused, says) = condition(&world.pipeline.shown()?, "Paused").unwrap_or_default();
    ensure!(is_paused, "it says {says:?}");
    plugin.text(&["pause", name], &[&format!("{name} is already paused")])?;
    plugin.text(&["status", name], &["; paused", "ready (Paused)"])?;
    plugin
        .text(&["explain-scaling", name], &[&format!("it is paused: `kubectl docmill resume {name}`")])?;

    let mark = world.workers.mark();
    let batch = world.api.batch("while it is paused")?;
    let uploaded = world.api.upload(&batch, &texts(FIRST.0, super::BYTES, SEEDS.1))?.ids.len() as u64;
    std::thread::sleep(PAUSED_FOR);
    ensure!(world.workers.max_since(mark) == 0, "workers come to a pipeline that is paused");
    let began = Instant::now();
    let resumed = plugin.json(&["resume", name, "--wait", "--timeout", "180"])?;
    let flags = ["paused", "changed", "waited"].map(|flag| resumed[flag].as_bool());
    ensure!(flags == [Some(false), Some(true), Some(true)], "{resumed}");
    let resumed_s = began.elapsed().as_secs_f64();
    world.workers.wait(mark, SCALE_MAX, |now| now == FIRST.1).context("workers come again")?;
    wait_for("what was uploaded meanwhile", COMMIT_MAX, || {
        let counts = world.api.counts(&batch)?;
        ensure!(counts.committed == uploaded && uploaded == FIRST.0 as u64, "{counts:?} of {uploaded}");
        Ok(())
    })?;
    plugin.text(&["resume", name], &[&format!("{name} is already resumed")])?;
    world.settled()?;
    Ok((paused_s, resumed_s))
}

fn text_of(path: &Path) -> Result<&str> {
    path.to_str().context("the path is UTF-8")
}

/// The program, and where it finds kubectl and is found by it.
struct Plugin<'a> {
    cluster: &'a Cluster,
    program: PathBuf,
    path: OsString,
}

/// What a run said.
#[derive(Debug)]
struct Said {
    code: Option<i32>,
    text: String,
    errors: String,
}

impl Said {
    fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { code: output.status.code(), text: text(&output.stdout), errors: text(&output.stderr) }
    }

    /// What is said to programs.
    fn value(&self) -> Result<Value> {
        serde_json::from_str(&self.text).with_context(|| format!("no JSON: {self:?}"))
    }
}

impl<'a> Plugin<'a> {
    fn of(cluster: &'a Cluster) -> Result<Self> {
        let own = std::env::current_exe()?;
        let folder = own.parent().context("this program is in a folder")?;
        let program = folder.join(PROGRAM);
        ensure!(program.is_file(), "no {}: `cargo xtask cluster` builds it", program.display());
        let mut path = vec![folder.to_owned(), cluster.programs.clone()];
        path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
        Ok(Self { cluster, program, path: std::env::join_paths(path)? })
    }

    /// Runs it in the pipeline's namespace, with this file as its input.
    fn ask(&self, args: &[&str], input: Option<&Path>) -> Result<Said> {
        let mut command = Command::new(&self.program);
        command.env("KUBECONFIG", self.cluster.kubeconfig());
        self.run(&mut command, args, input)
    }

    /// The same as people call it: kubectl finds the program.
    fn through_kubectl(&self, args: &[&str]) -> Result<Said> {
        let mut command = self.cluster.kubectl_command();
        self.run(command.arg("docmill"), args, None)
    }

    fn run(&self, command: &mut Command, args: &[&str], input: Option<&Path>) -> Result<Said> {
        let input = match input {
            Some(path) => Stdio::from(Opened::open(path)?),
            None => Stdio::null(),
        };
        command.args(args).args(["--namespace", NAMESPACE]).env("PATH", &self.path).stdin(input);
        // It runs kubectl in its turn, and is to find the pipeline's own key.
        command.env("KUBECACHEDIR", self.cluster.home.join("kubectl")).env_remove("DOCMILL_API_KEY");
        let output = command.output().with_context(|| format!("cannot start {command:?}"))?;
        Ok(Said::of(&output))
    }

    /// It ends with this code and says all of that.
    fn says(&self, args: &[&str], code: i32, wanted: &[&str]) -> Result<()> {
        let said = self.ask(args, None)?;
        let lacking: Vec<_> = wanted.iter().filter(|wanted| !said.text.contains(**wanted)).collect();
        ensure!(said.code == Some(code) && lacking.is_empty(), "{args:?}: {lacking:?} lack: {said:?}");
        Ok(())
    }

    /// It does what it is asked and says all of that.
    fn text(&self, args: &[&str], wanted: &[&str]) -> Result<()> {
        self.says(args, 0, wanted)
    }

    /// It does what it is asked and says it to programs.
    fn json(&self, args: &[&str]) -> Result<Value> {
        let said = self.ask(&[args, &["--json"][..]].concat(), None)?;
        if said.code != Some(0) {
            bail!("{args:?}: {said:?}");
        }
        said.value().with_context(|| format!("{args:?}"))
    }

    /// It fails with this code, and says to people and to programs what to do.
    fn fails(&self, args: &[&str], code: &str) -> Result<()> {
        let said = self.ask(args, None)?;
        let is_told = said.errors.contains(&format!("error[{code}]")) && said.errors.contains("help: ");
        ensure!(said.code == Some(1) && is_told && said.text.is_empty(), "{args:?}: {said:?}");
        let said = self.ask(&[args, &["--json"][..]].concat(), None)?;
        let error = said.value().with_context(|| format!("{args:?}"))?["error"].take();
        let is_told = ["message", "advice"]
            .iter()
            .all(|part| error[*part].as_str().is_some_and(|text| !text.is_empty()));
        ensure!(said.code == Some(1) && error["code"] == code && is_told, "{args:?}: {said:?}");
        Ok(())
    }
}
