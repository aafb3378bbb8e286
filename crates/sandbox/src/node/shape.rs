//! Whether a pod is one that `manifests` renders, with what the API server and its admission add.

use std::collections::BTreeSet;

use serde_json::Value;

use self::Rule::{Any, May, Must};

/// What a field may say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    /// Whatever it says, it is understood or without effect here.
    Any,
    /// If it is there, it says this (JSON).
    May(&'static str),
    /// It is there and says this (JSON).
    Must(&'static str),
}

/// Every field of a pod's spec that is understood; `*` is any one name or index, `**` is all below.
const SHAPE: &[(&str, Rule)] = &[
    ("affinity.**", Any),
    ("automountServiceAccountToken", Must("false")),
    ("containers.0.env.*.name", Any),
    ("containers.0.env.*.value", Any),
    ("containers.0.image", Any),
    ("containers.0.imagePullPolicy", Any),
    ("containers.0.livenessProbe.failureThreshold", Any),
    ("containers.0.livenessProbe.httpGet.path", Any),
    ("containers.0.livenessProbe.httpGet.port", Any),
    ("containers.0.livenessProbe.httpGet.scheme", May("\"HTTP\"")),
    ("containers.0.livenessProbe.periodSeconds", Any),
    ("containers.0.livenessProbe.successThreshold", May("1")),
    ("containers.0.livenessProbe.timeoutSeconds", Any),
    ("containers.0.name", Any),
    ("containers.0.ports.*.containerPort", Any),
    ("containers.0.ports.*.name", Any),
    ("containers.0.ports.*.protocol", May("\"TCP\"")),
    ("containers.0.readinessProbe.failureThreshold", Any),
    ("containers.0.readinessProbe.httpGet.path", Any),
    ("containers.0.readinessProbe.httpGet.port", Any),
    ("containers.0.readinessProbe.httpGet.scheme", May("\"HTTP\"")),
    ("containers.0.readinessProbe.periodSeconds", Any),
    ("containers.0.readinessProbe.successThreshold", May("1")),
    ("containers.0.readinessProbe.timeoutSeconds", Any),
    ("containers.0.resources.limits.*", Any),
    ("containers.0.resources.requests.*", Any),
    ("containers.0.securityContext.allowPrivilegeEscalation", Must("false")),
    ("containers.0.securityContext.capabilities.drop.0", Must("\"ALL\"")),
    ("containers.0.securityContext.readOnlyRootFilesystem", Must("true")),
    ("containers.0.startupProbe.failureThreshold", Any),
    ("containers.0.startupProbe.httpGet.path", Any),
    ("containers.0.startupProbe.httpGet.port", Any),
    ("containers.0.startupProbe.httpGet.scheme", May("\"HTTP\"")),
    ("containers.0.startupProbe.periodSeconds", Any),
    ("containers.0.startupProbe.successThreshold", May("1")),
    ("containers.0.startupProbe.timeoutSeconds", Any),
    ("containers.0.terminationMessagePath", May("\"/dev/termination-log\"")),
    ("containers.0.terminationMessagePolicy", May("\"File\"")),
    ("containers.0.volumeMounts.*.mountPath", Any),
    ("containers.0.volumeMounts.*.name", Any),
    ("containers.0.volumeMounts.*.readOnly", Any),
    ("dnsConfig.nameservers.*", Any),
    ("dnsPolicy", Must("\"None\"")),
    ("enableServiceLinks", Must("false")),
    ("hostAliases.*.hostnames.*", Any),
    ("hostAliases.*.ip", Any),
    ("hostname", Any),
    ("nodeName", Any),
    ("nodeSelector.*", Any),
    ("preemptionPolicy", Any),
    ("priority", Any),
    ("priorityClassName", Any),
    ("restartPolicy", May("\"Always\"")),
    ("schedulerName", Any),
    ("securityContext.fsGroup", Any),
    ("securityContext.fsGroupChangePolicy", Must("\"OnRootMismatch\"")),
    ("securityContext.runAsGroup", Any),
    ("securityContext.runAsNonRoot", Must("true")),
    ("securityContext.runAsUser", Any),
    ("securityContext.seccompProfile.type", Must("\"RuntimeDefault\"")),
    ("serviceAccount", Any),
    ("serviceAccountName", Any),
    ("terminationGracePeriodSeconds", Any),
    ("tolerations.**", Any),
    ("volumes.*.configMap.defaultMode", Any),
    ("volumes.*.configMap.name", Any),
    ("volumes.*.emptyDir.sizeLimit", Any),
    ("volumes.*.name", Any),
    ("volumes.*.persistentVolumeClaim.claimName", Any),
    ("volumes.*.secret.defaultMode", Any),
    ("volumes.*.secret.secretName", Any),
];

/// Everything about `spec`, a pod's, that is not of that shape; nothing where it is.
pub(super) fn complaints(spec: &Value) -> Vec<String> {
    let mut complaints = BTreeSet::new();
    walk(&mut Vec::new(), spec, &mut complaints);
    for (pattern, rule) in SHAPE {
        if let Must(wanted) = rule {
            let pointer = format!("/{}", pattern.replace('.', "/"));
            if spec.pointer(&pointer).is_none() {
                complaints.insert(format!("spec.{pattern} is missing, it must be {wanted}"));
            }
        }
    }
    complaints.into_iter().collect()
}

fn walk(path: &mut Vec<String>, value: &Value, complaints: &mut BTreeSet<String>) {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields.iter().map(|(key, value)| (key.clone(), value)).collect(),
        Value::Array(items) => {
            items.iter().enumerate().map(|(i, it)| (i.to_string(), it)).collect()
        }
        _ => Vec::new(),
    };
    if children.is_empty() {
        complaints.extend(judge(path, value));
    }
    for (key, child) in children {
        path.push(key);
        walk(path, child, complaints);
        path.pop();
    }
}

/// What is wrong with one value that has nothing below it.
fn judge(path: &[String], value: &Value) -> Option<String> {
    let rule = SHAPE.iter().find(|(pattern, _)| matches(pattern, path)).map(|(_, rule)| rule);
    match rule {
        Some(Any) => None,
        Some(May(wanted) | Must(wanted)) => {
            // They are written as JSON.
            let text = value.to_string();
            (text != **wanted)
                .then(|| format!("spec.{} is {text}, it must be {wanted}", path.join(".")))
        }
        None => {
            // As much of the path as nothing below is understood of: `hostNetwork`, `containers.1`.
            let known = |length: &usize| {
                let begin = path.get(..*length).unwrap_or_default();
                SHAPE.iter().any(|(pattern, _)| begins(pattern, begin))
            };
            let length = (1..path.len()).find(|length| !known(length)).unwrap_or(path.len());
            let unknown = path.get(..length).unwrap_or_default().join(".");
            // An empty list or object says nothing.
            (length < path.len() || !is_empty(value))
                .then(|| format!("spec.{unknown} is not supported"))
        }
    }
}

fn is_empty(value: &Value) -> bool {
    value.as_object().is_some_and(serde_json::Map::is_empty)
        || value.as_array().is_some_and(Vec::is_empty)
}

fn matches(pattern: &str, path: &[String]) -> bool {
    let (mut pattern, mut path) = (pattern.split('.'), path.iter());
    loop {
        match (pattern.next(), path.next()) {
            (Some("**"), Some(_)) | (None, None) => return true,
            (Some(wanted), Some(segment)) if wanted == "*" || wanted == segment => {}
            _ => return false,
        }
    }
}

fn begins(pattern: &str, begin: &[String]) -> bool {
    let mut pattern = pattern.split('.');
    begin.iter().all(|segment| pattern.next().is_some_and(|it| it == "*" || it == segment))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn good() -> Value {
        json!({
            "automountServiceAccountToken": false,
            "containers": [{
                "name": "gateway",
                "securityContext": {
                    "allowPrivilegeEscalation": false,
                    "capabilities": { "drop": ["ALL"] },
                    "readOnlyRootFilesystem": true,
                },
            }],
            "dnsPolicy": "None",
            "enableServiceLinks": false,
            "nodeSelector": { "openclaw.cloud/pool": "shared" },
            "securityContext": {
                "fsGroupChangePolicy": "OnRootMismatch",
                "runAsNonRoot": true,
                "seccompProfile": { "type": "RuntimeDefault" },
            },
            "tolerations": [{ "key": "x", "operator": "Exists" }],
        })
    }

    #[test]
    fn a_pod_of_the_shape_is_taken() {
        assert_eq!(complaints(&good()), Vec::<String>::new());
    }

    #[test]
    fn everything_else_is_named_at_once() {
        let mut pod = good();
        pod["hostNetwork"] = json!(true);
        pod["runtimeClassName"] = json!("gvisor");
        pod["initContainers"] = json!([{ "name": "first", "image": "x" }]);
        pod["securityContext"]["runAsNonRoot"] = json!(false);
        pod["containers"][0]["securityContext"]["capabilities"]["add"] = json!(["NET_ADMIN"]);
        pod["containers"][0]["securityContext"]["privileged"] = json!(true);
        let second = json!({ "name": "second", "image": "x" });
        pod["containers"].as_array_mut().unwrap().push(second);
        pod["volumes"] = json!([{ "name": "host", "hostPath": { "path": "/" } }]);
        pod.as_object_mut().unwrap().remove("dnsPolicy");
        assert_eq!(
            complaints(&pod),
            [
                "spec.containers.0.securityContext.capabilities.add is not supported",
                "spec.containers.0.securityContext.privileged is not supported",
                "spec.containers.1 is not supported",
                "spec.dnsPolicy is missing, it must be \"None\"",
                "spec.hostNetwork is not supported",
                "spec.initContainers is not supported",
                "spec.runtimeClassName is not supported",
                "spec.securityContext.runAsNonRoot is false, it must be true",
                "spec.volumes.0.hostPath is not supported",
            ]
        );
    }
}
