//! What clients of other gateways get. Pure.

use serde_json::Value;

use super::all::Shapes;
use crate::gateway::openapi::parts::{boolean, list, object, one_of, shape, text, whole};

/// Their shapes.
pub(super) fn peers() -> Shapes {
    vec![
        ("Models", object("", [("object", one_of(["list"], "")), ("data", list(shape("Model")))])),
        (
            "Model",
            object(
                "",
                [
                    ("id", text("A name that clients use.")),
                    ("object", one_of(["model"], "")),
                    ("created", whole("Seconds since 1970: the start of the runtime.")),
                    ("owned_by", text("")),
                    ("service", text("Who answers to that name.")),
                    ("status", status()),
                ],
            ),
        ),
        ("Success", object("", [("success", boolean("Always `true`; else it is a refusal."))])),
        ("Done", object("", [("msg", one_of(["ok"], ""))])),
        (
            "Running",
            object(
                "",
                [(
                    "running",
                    list(object(
                        "",
                        [
                            ("model", text("")),
                            ("state", one_of(["starting", "ready", "stopping"], "")),
                            ("cmd", text("The command as it was run.")),
                            ("proxy", text("Where it listens.")),
                            ("ttl", whole("`idle_timeout` in seconds.")),
                            ("name", text("The service.")),
                            ("description", text("")),
                        ],
                    )),
                )],
            ),
        ),
        ("Version", object("", [("version", text("")), ("commit", text("")), ("build_date", text(""))])),
    ]
}

fn status() -> Value {
    object(
        "",
        [
            ("value", one_of(["loaded", "loading", "unloaded"], "")),
            ("state", text("Of the service; `remote` for one that runs elsewhere.")),
            ("failed?", boolean("It gave up.")),
            ("exit_code?", whole("How its last run ended.")),
        ],
    )
}
