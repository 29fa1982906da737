//! Where what needs attention is shown: `GET /api/alerts`, `greenroom status`, the figures.

use crate::{
    common::{BOUND, Greenroom, wait_for},
    service, watchdog,
};

#[test]
fn what_stands_is_in_the_api_in_the_status_and_in_the_figures_until_it_is_over() {
    // One process is one too many.
    let limits = "limits.processes = { warning = 1, critical = 50 }";
    let greenroom = Greenroom::running(|g| watchdog("") + &service(g, "chat", "", limits) + &service(g, "tts", "", ""));
    let alerts = || greenroom.api().get("/api/alerts").expect("an answer").json();
    wait_for("the alert stands", BOUND, || alerts()[0]["alert"] == "runaway");
    greenroom.wait_watched("tts");
    let standing = alerts();
    assert_eq!(standing.as_array().map(Vec::len), Some(1), "{standing:#}");
    assert_eq!((&standing[0]["service"], &standing[0]["severity"]), (&"chat".into(), &"warning".into()));

    let status = greenroom.api().get("/api/status").expect("an answer").json();
    assert_eq!(status["alerts"], standing);
    assert_eq!(status["watch"]["services"]["tts"]["processes"], 1, "{:#}", status["watch"]);
    assert!(status["watch"]["own"]["descriptors"].as_u64().is_some_and(|open| open > 3), "{:#}", status["watch"]);
    assert!(status["watch"]["host"]["total"].as_u64().is_some_and(|total| total > 0), "{:#}", status["watch"]);

    let shown = greenroom.cli(&["status"]).expect(0).stdout;
    let line = shown.lines().find(|line| line.starts_with("warning runaway of chat for ")).unwrap_or_default();
    assert!(line.contains(": 1 process, 1 when it was ready; a warning from 1 on: "), "{shown}");

    let page = greenroom.api().get("/metrics").expect("an answer").body;
    let has = |figure: &str| page.lines().any(|line| line.starts_with(figure));
    assert!(has("greenroom_watchdog_alerts_total{kind=\"runaway\",severity=\"warning\"} 1"), "{page}");
    assert!(has("greenroom_actor_mailbox_lag_seconds{actor=\"service chat\"} "), "{page}");

    greenroom.cli(&["stop", "chat"]).expect(0);
    wait_for("the alert is over", BOUND, || alerts().as_array().is_some_and(Vec::is_empty));
    assert!(!greenroom.cli(&["status"]).expect(0).stdout.contains("runaway"));
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}
