//! The models, as the gateway tells of them. Pure.

use greenroom_actors::state::ServiceState;

use super::all::Shapes;
use crate::gateway::openapi::parts::{boolean, list, object, one_of, shape, text, whole};

/// Their shapes.
pub(super) fn models() -> Shapes {
    let states = ServiceState::ALL.map(ServiceState::name).into_iter().chain(["remote", "running", "idle"]);
    vec![
        ("ModelList", object("", [("object", one_of(["list"], "")), ("data", list(shape("Model")))])),
        (
            "Model",
            object(
                "",
                [
                    ("id", text("The name to ask for.")),
                    ("object", one_of(["model"], "")),
                    ("created", whole("The start of the runtime, in seconds since 1970.")),
                    ("owned_by", one_of(["greenroom"], "")),
                    ("service", text("Who answers.")),
                    ("status", shape("ModelStatus")),
                ],
            ),
        ),
        (
            "ModelStatus",
            object(
                "",
                [
                    ("value", one_of(["loaded", "loading", "unloaded"], "Whether it is in memory.")),
                    ("state", one_of(states, "What the service is doing.")),
                    ("failed?", boolean("It gave up.")),
                    ("exit_code?", whole("Of its last run, if it gave up.")),
                ],
            ),
        ),
        ("Success", object("", [("success", boolean("It has been told."))])),
        ("Unloaded", object("", [("msg", one_of(["ok"], ""))])),
        (
            "Version",
            object("", [("version", text("")), ("commit", text("Not known.")), ("build_date", text("Not known."))]),
        ),
        ("Running", object("", [("running", list(shape("RunningModel")))])),
        (
            "RunningModel",
            object(
                "",
                [
                    ("model", text("The name to ask for.")),
                    ("state", one_of(["starting", "ready", "stopping"], "")),
                    ("cmd", text("Its command, as a shell takes it.")),
                    ("proxy", text("Where it listens; empty while it does not.")),
                    ("ttl", whole("`idle_timeout` in seconds; 0 for none.")),
                    ("name", text("The service.")),
                    ("description", text("Empty.")),
                ],
            ),
        ),
    ]
}
