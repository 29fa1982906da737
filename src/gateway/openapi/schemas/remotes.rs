//! What answers elsewhere. Pure.

use super::all::Shapes;
use crate::gateway::openapi::parts::{list, nullable, object, one_of, shape, text, whole};

/// Their shapes.
pub(super) fn remotes() -> Shapes {
    let state = |description| one_of(["in", "out"], description);
    vec![
        (
            "Remote",
            object(
                "",
                [
                    ("name", text("")),
                    ("engine", text("What kind of program it is.")),
                    ("serves", list(text("A name that clients use."))),
                    ("balance", one_of(["least_busy", "round_robin"], "Which of its URLs gets a request.")),
                    ("state", state("`in` as long as one of its URLs gets requests.")),
                    ("in_flight", whole("Requests on their way to it.")),
                    ("urls", list(shape("RemoteUrl"))),
                ],
            ),
        ),
        (
            "RemoteUrl",
            object(
                "",
                [
                    ("url", text("")),
                    ("state", state("`in` while it gets requests.")),
                    ("in_flight", whole("Requests on their way to it.")),
                    ("last_error", nullable(text("What was wrong when something was wrong last."))),
                ],
            ),
        ),
    ]
}
