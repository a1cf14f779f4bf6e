//! What a function finds in its environment about the message it works on.

use crate::event::{CONTROL_PREFIX, Event};

/// Most bytes of attributes given by environment; attributes that would go
/// over are left out (the kernel bounds each variable, and all together).
const TOTAL_MAX: usize = 64 << 10;

/// Attributes that tell why an input failed, for functions that mend it.
const FAILURE: [&str; 5] = ["faasreason", "faasfunction", "faasattempts", "faasexit", "faasstderr"];

/// Whether a variable tells of one event.
pub fn is_of_an_event(name: &str) -> bool {
    const OURS: [&str; 6] = [
        "FAAS_ATTEMPT",
        "FAAS_FUNCTION",
        "FAAS_IDEMPOTENCY_KEY",
        "FAAS_RUN",
        "TRACEPARENT",
        "TRACESTATE",
    ];
    name.starts_with("CE_") || OURS.contains(&name)
}

/// What a process finds that is not started for one event.
pub fn of_process(function: &str) -> Vec<(String, String)> {
    vec![("FAAS_FUNCTION".into(), function.into())]
}

/// `CE_*` for each attribute, `FAAS_ATTEMPT` from 1, `FAAS_IDEMPOTENCY_KEY`
/// (the same on every attempt), and the trace context under its usual names.
pub fn of(event: &Event, function: &str, attempt: u32) -> Vec<(String, String)> {
    let mut env: Vec<(String, String)> = vec![
        ("CE_SPECVERSION".into(), "1.0".into()),
        ("CE_ID".into(), event.id.clone()),
        ("CE_SOURCE".into(), event.source.clone()),
        ("CE_TYPE".into(), event.kind.clone()),
        ("FAAS_FUNCTION".into(), function.into()),
        ("FAAS_ATTEMPT".into(), attempt.to_string()),
        ("FAAS_IDEMPOTENCY_KEY".into(), event.id.clone()),
    ];
    let optional = [("CE_TIME", &event.time), ("CE_DATACONTENTTYPE", &event.content_type)];
    env.extend(
        optional.into_iter().filter_map(|(name, value)| Some((name.into(), value.clone()?))),
    );
    if let Some(control) = &event.control {
        env.push(("FAAS_RUN".into(), control.run.clone()));
    }
    for (name, value) in &event.extensions {
        if name == "traceparent" || name == "tracestate" {
            env.push((name.to_ascii_uppercase(), value.to_string()));
        }
        // Of ours only what a rule for failed inputs passes on.
        let is_failure = FAILURE.contains(&name.as_str());
        if is_failure || !name.starts_with(CONTROL_PREFIX) {
            env.push((format!("CE_{}", name.to_ascii_uppercase()), value.to_string()));
        }
    }
    let mut left = TOTAL_MAX;
    env.retain(|(name, value)| {
        let fits = name.len() + value.len() <= left && !value.contains('\0');
        left -= if fits { name.len() + value.len() } else { 0 };
        fits
    });
    env
}
