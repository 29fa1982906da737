//! The runtime and its services. Pure.

use greenroom_actors::state::ServiceState;
use serde_json::Value;

use super::all::Shapes;
use crate::gateway::openapi::parts::{list, map, nullable, number, object, one_of, shape, text, time, whole};

/// Their shapes.
pub(super) fn services() -> Shapes {
    let state = one_of(ServiceState::ALL.map(ServiceState::name), "What it is doing.");
    let disposition = one_of(["up", "down", "on_demand"], "What is wanted of it.");
    vec![
        (
            "Status",
            object(
                "",
                [
                    ("runtime", shape("Runtime")),
                    ("services", list(shape("Service"))),
                    ("remotes", list(shape("Remote"))),
                    ("alerts", list(shape("Alert"))),
                    ("watch", shape("Sight")),
                    ("jobs", list(shape("JobCount"))),
                ],
            ),
        ),
        (
            "Runtime",
            object(
                "",
                [
                    ("name", text("`runtime.name`.")),
                    ("version", text("This program's.")),
                    ("state", one_of(["running", "stopping"], "")),
                    ("pid", whole("")),
                    ("guardian", nullable(whole("The guardian's process."))),
                    ("state_dir", text("")),
                    ("started", time("")),
                    ("epoch", whole("The first half of event ids.")),
                    ("containment", one_of(["cgroup", "shim", "namespace", "best_effort"], "The layer in force.")),
                    ("containment_root", text("")),
                    ("containment_limits", list(text("What that layer cannot do."))),
                    ("history", shape("HistoryHealth")),
                    ("gateway", list(text("Where model traffic comes in."))),
                ],
            ),
        ),
        (
            "HistoryHealth",
            object(
                "",
                [
                    (
                        "state",
                        object(
                            "",
                            [("state", one_of(["ok", "absent", "degraded"], "")), ("reason?", text("Of `degraded`."))],
                        ),
                    ),
                    ("buffered", whole("Records that wait in memory.")),
                    ("dropped", whole("Records lost.")),
                ],
            ),
        ),
        (
            "Service",
            object(
                "",
                [
                    ("name", text("")),
                    ("engine", text("What kind of program it is.")),
                    ("state", state),
                    ("disposition", disposition),
                    ("reason", nullable(text("Why it is in that state."))),
                    ("pid", nullable(whole("Its main process."))),
                    ("run_id", nullable(text("Its current or last run."))),
                    ("since", time("Since when it is in that state.")),
                    ("ready_since", nullable(time(""))),
                    ("loaded_in", nullable(number("Seconds that its last start took."))),
                    (
                        "restarts",
                        object(
                            "",
                            [
                                ("consecutive", whole("As `restart.max` counts.")),
                                ("total", whole("Since the runtime's start.")),
                            ],
                        ),
                    ),
                    ("endpoint", nullable(text("Where it listens."))),
                    ("serves", list(text("A name that clients use."))),
                    ("depends_on", list(text("A service."))),
                    ("in_flight", whole("Who uses it at this moment.")),
                    (
                        "max_concurrency",
                        nullable(whole("How many may use it at a time; `null`: as many as there are.")),
                    ),
                    ("in_line", whole("Who stands in line for it.")),
                    ("waiting", list(shape("Waiter"))),
                    ("idle_for", nullable(number("Seconds since it worked last."))),
                    ("load", nullable(shape("Load"))),
                    ("containment", object("", [("kind", text("")), ("processes", whole(""))])),
                    (
                        "memory",
                        object("In bytes.", [("ram", whole("")), ("vram", map(whole(""), "By the card's UUID."))]),
                    ),
                    (
                        "lease",
                        nullable(object(
                            "The memory that it may hold.",
                            [
                                ("state", lease_state()),
                                ("vram", map(whole(""), "By the card's UUID.")),
                                ("ram", whole("")),
                                ("custom?", map(whole(""), "By pool.")),
                                ("gpu_layers", nullable(whole("Where they were chosen."))),
                            ],
                        )),
                    ),
                    ("need", nullable(shape("Need"))),
                    ("refusal", nullable(shape("Refusal"))),
                    ("last_exit", nullable(shape("Exit"))),
                    ("next_start", nullable(time("In `backoff`."))),
                ],
            ),
        ),
        (
            "Waiter",
            object("", [("position", whole("From 1.")), ("reason", text("")), ("eta", nullable(number("Seconds.")))]),
        ),
        (
            "Load",
            object(
                "How far a load has come.",
                [("phase", text("")), ("done", whole("")), ("total", whole("")), ("eta", nullable(number("Seconds.")))],
            ),
        ),
        (
            "Exit",
            object(
                "How a run ended.",
                [
                    ("code", nullable(whole(""))),
                    ("signal", nullable(whole(""))),
                    ("class", nullable(text("The class of the failure."))),
                    ("stderr", list(text("The last lines, oldest first."))),
                    ("at", time("")),
                ],
            ),
        ),
        (
            "Why",
            object(
                "",
                [
                    ("service", shape("Service")),
                    ("because", list(text("Why it is in that state."))),
                    ("remedy", list(text("What to do."))),
                    ("recent", list(shape("Event"))),
                ],
            ),
        ),
    ]
}

/// The states of a lease.
pub(super) fn lease_state() -> Value {
    one_of(["reserved", "loading", "resident", "draining", "asleep", "reclaiming"], "")
}
