//! Jobs. Pure.

use greenroom_actors::job::JobState;

use super::all::Shapes;
use crate::gateway::openapi::parts::{
    any_of, boolean, list, map, nullable, number, object, one_of, open_object, shape, text, time, whole,
};

/// Their shapes.
pub(super) fn jobs() -> Shapes {
    let state = |description| one_of(JobState::ALL.map(JobState::name), description);
    let outcome = one_of(["succeeded", "failed", "cancelled"], "Known before it is cleaned up after.");
    vec![
        ("Job", job(state("Where it stands."), outcome)),
        ("JobCount", object("Open jobs.", [("job", text("")), ("state", state("")), ("count", whole("At least 1."))])),
        (
            "JobError",
            object(
                "",
                [
                    ("class", nullable(text("The class of the failure; `null` for one that was cancelled."))),
                    ("message", text("What happened, and what to do where that is known.")),
                    ("code", nullable(whole("Exit status of its process."))),
                    ("signal", nullable(whole("The signal that ended it."))),
                    ("status", nullable(whole("HTTP status of the answer."))),
                    ("stderr", list(text("The last lines, oldest first."))),
                    ("no_memory?", boolean("There is no memory for it, whoever leaves.")),
                    ("action?", text("What the rule that has recognised the failure wants done about the program.")),
                ],
            ),
        ),
        (
            "JobProgress",
            object(
                "How far it has come.",
                [
                    ("done", whole("")),
                    ("total", whole("")),
                    ("ratio", number("From 0 to 1.")),
                    ("eta", nullable(number("Seconds until the end at the pace so far."))),
                ],
            ),
        ),
        ("MadeFile", object("", [("name", text("")), ("size", whole("In bytes."))])),
        (
            "JobRequest",
            object(
                "",
                [
                    ("job", text("The `NAME` of a `[job.NAME]`.")),
                    ("params?", map(parameter(), "By name.")),
                    ("priority?", whole("Higher ones go first; 0 is usual.")),
                ],
            ),
        ),
        (
            "JobForm",
            open_object(
                "Any other field is the parameter of its name: a file where it has a file's name, else a text.",
                [("job", text("")), ("params?", text("A JSON object.")), ("priority?", text("A whole number."))],
            ),
        ),
    ]
}

fn job(state: serde_json::Value, outcome: serde_json::Value) -> serde_json::Value {
    let failed = object("", [("attempt", whole("From 1.")), ("at", time("")), ("error", shape("JobError"))]);
    let result = object(
        "What it has made.",
        [
            ("files", list(text("A name below its output folder."))),
            ("json", nullable(any_of([open_object("What was answered.", []), list(json_value()), json_value()]))),
        ],
    );
    object(
        "",
        [
            ("id", text("A ULID: ids sort by the time of their submission.")),
            ("job", text("What kind of job it is.")),
            ("state", state),
            ("outcome", nullable(outcome)),
            ("reason", nullable(text("What it waits for, or why it is in that state."))),
            ("params", map(parameter(), "What it was given. A file is `{\"file\": NAME, \"size\": BYTES}`.")),
            ("priority", whole("Higher ones go first.")),
            ("attempt", whole("Attempts that were begun.")),
            ("progress", nullable(shape("JobProgress"))),
            ("submitted", time("When it was accepted.")),
            ("started", nullable(time("When its last attempt began to run."))),
            ("finished", nullable(time("When its outcome was known."))),
            ("error", nullable(shape("JobError"))),
            ("attempts", list(failed)),
            ("result", nullable(result)),
        ],
    )
}

fn parameter() -> serde_json::Value {
    any_of([text(""), number(""), boolean(""), open_object("A file.", [])])
}

fn json_value() -> serde_json::Value {
    any_of([text(""), number(""), boolean(""), open_object("", [])])
}
