//! Why a pod does not run, in a sentence with what to do: from what Kubernetes shows of its containers.

use docmill_core::sizing::neo4j::{self, Memory, Symptom};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodStatus};
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use crate::names::{COMPONENT_LABEL, Part};

/// Longest message of a container that is passed on.
const MESSAGE_MAX: usize = 300;
/// How long a pod may wait for what it mounts: a disk comes over from another node meanwhile. Fetching images does not
/// count, as it comes after.
const MOUNTS_MAX: SignedDuration = SignedDuration::from_secs(60);

/// Something that keeps a pod from running.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Its part: the value of the label.
    pub component: String,
    /// The pod.
    pub pod: String,
    /// Kubernetes' reason, such as `ImagePullBackOff`.
    pub reason: String,
    /// What it says beside.
    pub message: String,
    /// What the container's last end says of memory.
    pub symptom: Option<Symptom>,
    /// Whether it will not go away by waiting: an image that is not there, a configuration that is refused.
    pub is_lasting: bool,
    /// The moment from which it is one, where so much was normal until then; absent where it is one at once.
    pub from: Option<Timestamp>,
}

/// What keeps this pod from running; none where it runs, or merely starts.
pub fn of_pod(pod: &Pod) -> Option<Trouble> {
    let labels = pod.metadata.labels.as_ref()?;
    let component = labels.get(COMPONENT_LABEL)?.clone();
    let name = pod.metadata.name.clone()?;
    let status = pod.status.as_ref()?;
    let containers =
        status.init_container_statuses.iter().flatten().chain(status.container_statuses.iter().flatten());
    for container in containers {
        if let Some((reason, message, symptom, is_lasting)) = of_container(&component, container) {
            let from = None;
            return Some(Trouble { component, pod: name, reason, message, symptom, is_lasting, from });
        }
    }
    let (reason, message, from) = unschedulable(status).or_else(|| unmounted(status, &name))?;
    Some(Trouble { component, pod: name, reason, message, symptom: None, is_lasting: false, from })
}

/// No node takes the pod.
fn unschedulable(status: &PodStatus) -> Option<(String, String, Option<Timestamp>)> {
    let found = status
        .conditions
        .iter()
        .flatten()
        .find(|condition| condition.type_ == "PodScheduled" && condition.status == "False")?;
    let reason = found.reason.clone().unwrap_or_else(|| "Unschedulable".into());
    Some((reason, short(found.message.as_deref().unwrap_or_default()), None))
}

/// A node has the pod and has not mounted all of it. Which Secret or volume lacks is in an Event of the pod's alone;
/// whether a Secret is there may not be asked.
fn unmounted(status: &PodStatus, pod: &str) -> Option<(String, String, Option<Timestamp>)> {
    // Of one that ran, the same condition tells that it ended.
    if status.phase.as_deref() != Some("Pending") {
        return None;
    }
    let found =
        status.conditions.iter().flatten().find(|condition| {
            condition.type_ == "PodReadyToStartContainers" && condition.status == "False"
        })?;
    let from = found.last_transition_time.as_ref()?.0.checked_add(MOUNTS_MAX).ok()?;
    // `PodInitializing` of a pod that has something to do first.
    let reason = status
        .init_container_statuses
        .iter()
        .flatten()
        .chain(status.container_statuses.iter().flatten())
        .find_map(|container| container.state.as_ref()?.waiting.as_ref()?.reason.clone());
    let message = format!(
        "for more than {} s it waits for what it mounts, such as a Secret or a ConfigMap that is not there; `kubectl \
         describe pod {pod}` says for what",
        MOUNTS_MAX.as_secs()
    );
    Some((reason.unwrap_or_else(|| "ContainerCreating".into()), message, Some(from)))
}

fn of_container(
    component: &str,
    container: &ContainerStatus,
) -> Option<(String, String, Option<Symptom>, bool)> {
    let ended = container.last_state.as_ref().and_then(|state| state.terminated.as_ref());
    let symptom = ended.filter(|_| component == Part::Neo4j.as_str()).and_then(|ended| {
        neo4j::Symptom::of_exit(ended.exit_code, ended.reason.as_deref() == Some("OOMKilled"))
    });
    let waiting = container.state.as_ref().and_then(|state| state.waiting.as_ref());
    let Some(reason) = waiting.and_then(|waiting| waiting.reason.clone()) else {
        // It runs again: what ended it is worth saying only while it is about memory.
        let symptom = symptom.filter(|_| !container.ready)?;
        return Some(("MemoryExhausted".into(), format!("{symptom:?}"), Some(symptom), false));
    };
    let is_lasting = match reason.as_str() {
        "ContainerCreating" | "PodInitializing" => return None,
        "ErrImagePull" | "ImagePullBackOff" | "ErrImageNeverPull" | "InvalidImageName" => true,
        "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" => true,
        // Ended so often that its restarts are put off.
        "CrashLoopBackOff" => container.restart_count >= 2,
        _ => false,
    };
    let mut message = waiting.and_then(|waiting| waiting.message.clone()).unwrap_or_default();
    if let Some(ended) = ended {
        let said = ended.message.as_deref().map(str::trim).filter(|said| !said.is_empty());
        message = match said {
            Some(said) => format!("it ended with code {}: {said}", ended.exit_code),
            None => format!(
                "it ended with code {} ({})",
                ended.exit_code,
                ended.reason.as_deref().unwrap_or("?")
            ),
        };
    }
    Some((reason, short(&message), symptom, is_lasting))
}

impl Trouble {
    /// Whether it is one by now.
    pub fn is_at(&self, now: Timestamp) -> bool {
        self.from.is_none_or(|from| from <= now)
    }

    /// A sentence, with advice where there is some.
    pub fn sentence(&self, memory: Option<&Memory>) -> String {
        let said = format!("{} {}: {}", self.pod, self.reason, self.message);
        match (self.symptom, memory) {
            (Some(symptom), Some(memory)) => format!("{said}; {}", neo4j::advise(memory, symptom)),
            _ => said,
        }
    }
}

/// The end of a text says what went wrong.
fn short(text: &str) -> String {
    let letters: Vec<char> = text.chars().collect();
    match letters.len() > MESSAGE_MAX {
        true => letters[letters.len() - MESSAGE_MAX..].iter().collect(),
        false => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(component: &str, container: serde_json::Value) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": "p-0", "labels": {COMPONENT_LABEL: component}},
            "status": {"containerStatuses": [container]},
        }))
        .unwrap()
    }

    fn container(state: serde_json::Value, last: serde_json::Value, restarts: i32) -> serde_json::Value {
        json!({"name": "c", "image": "i", "imageID": "", "ready": false, "restartCount": restarts,
            "state": state, "lastState": last})
    }

    #[test]
    fn an_image_that_is_not_there_is_lasting() {
        let waiting = json!({"waiting": {"reason": "ImagePullBackOff", "message": "not found"}});
        let trouble = of_pod(&pod("worker", container(waiting, json!({}), 0))).unwrap();
        assert!(trouble.is_lasting);
        assert_eq!(trouble.sentence(None), "p-0 ImagePullBackOff: not found");
    }

    #[test]
    fn what_starts_is_no_trouble() {
        let creating = json!({"waiting": {"reason": "ContainerCreating"}});
        assert_eq!(of_pod(&pod("worker", container(creating, json!({}), 0))), None);
        let running = json!({"running": {}});
        assert_eq!(of_pod(&pod("worker", container(running, json!({}), 0))), None);
    }

    /// A pod that its node has had since midnight.
    fn on_its_node(phase: &str, waiting: &str, is_mounted: &str) -> Pod {
        let mut pod = pod("api", container(json!({"waiting": {"reason": waiting}}), json!({}), 0));
        let midnight = "2026-01-01T00:00:00Z";
        let status = pod.status.as_mut().unwrap();
        status.phase = Some(phase.to_owned());
        status.conditions = serde_json::from_value(json!([
            {"type": "PodReadyToStartContainers", "status": is_mounted, "lastTransitionTime": midnight},
            {"type": "PodScheduled", "status": "True", "lastTransitionTime": midnight},
        ]))
        .unwrap();
        pod
    }

    #[test]
    fn what_waits_a_minute_for_its_mounts_is_trouble_that_may_pass() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let trouble = of_pod(&on_its_node("Pending", "ContainerCreating", "False")).unwrap();
        assert!(!trouble.is_at(at("2026-01-01T00:00:59Z")) && trouble.is_at(at("2026-01-01T00:01:00Z")));
        assert!(!trouble.is_lasting && trouble.symptom.is_none());
        assert_eq!(
            trouble.sentence(None),
            "p-0 ContainerCreating: for more than 60 s it waits for what it mounts, such as a Secret or a ConfigMap \
             that is not there; `kubectl describe pod p-0` says for what"
        );
        let initializing = of_pod(&on_its_node("Pending", "PodInitializing", "False")).unwrap();
        assert_eq!(initializing.reason, "PodInitializing");
    }

    #[test]
    fn an_image_that_is_long_in_coming_is_no_trouble() {
        assert_eq!(of_pod(&on_its_node("Pending", "ContainerCreating", "True")), None);
        assert_eq!(of_pod(&on_its_node("Succeeded", "ContainerCreating", "False")), None, "it ended");
    }

    #[test]
    fn a_pod_without_a_node_is_trouble_at_once() {
        let mut pod = on_its_node("Pending", "ContainerCreating", "False");
        pod.status.as_mut().unwrap().conditions = serde_json::from_value(json!([
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"},
        ]))
        .unwrap();
        let trouble = of_pod(&pod).unwrap();
        assert_eq!((trouble.reason.as_str(), trouble.from), ("Unschedulable", None));
        assert!(trouble.is_at(Timestamp::UNIX_EPOCH));
    }

    #[test]
    fn a_neo4j_without_memory_says_which_to_raise() {
        let memory = Memory::given(4_096, None, 1_024, 2_048).unwrap();
        let back_off = json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}});
        let killed = json!({"terminated": {"exitCode": 137, "reason": "OOMKilled"}});
        let trouble = of_pod(&pod("neo4j", container(back_off.clone(), killed, 3))).unwrap();
        assert_eq!(trouble.symptom, Some(Symptom::KilledForMemory));
        let heap = json!({"terminated": {"exitCode": 3, "reason": "Error"}});
        let trouble = of_pod(&pod("neo4j", container(back_off, heap.clone(), 1))).unwrap();
        assert_eq!((trouble.symptom, trouble.is_lasting), (Some(Symptom::HeapExhausted), false));
        assert!(trouble.sentence(Some(&memory)).len() > trouble.sentence(None).len());
        let again = of_pod(&pod("neo4j", container(json!({"running": {}}), heap, 1))).unwrap();
        assert_eq!(again.symptom, Some(Symptom::HeapExhausted));
    }

    #[test]
    fn long_messages_keep_their_end() {
        let text = format!("{}end", "x".repeat(1_000));
        assert!(short(&text).ends_with("end") && short(&text).len() == MESSAGE_MAX);
    }
}
