//! `[remote.NAME]`: what answers requests elsewhere.

use std::time::Duration;

use greenroom::actors::spec::{Balance, RemoteSpec};

use crate::folder::{Folder, row};

fn remotes(text: &str) -> Vec<RemoteSpec> {
    Folder::toml(text).loaded().spec.remotes
}

#[test]
fn every_key_arrives() {
    let folder = Folder::toml(
        r#"
[remote.pod]
urls = ["https://a.example:7860/base/", "http://[::1]:81"]
engine = "a1111"
serves = ["realistic", "anime"]
balance = "round_robin"
api_key = "${env.POD_KEY}"
alive.interval = "3s"
"#,
    );
    let loaded = folder.variable("POD_KEY", "sk-pod").loaded();
    let [remote] = &loaded.spec.remotes[..] else { panic!("{:?}", loaded.spec.remotes) };
    assert_eq!(remote.name.as_str(), "pod");
    assert_eq!(remote.urls, ["https://a.example:7860/base", "http://[::1]:81"]);
    assert_eq!(remote.engine.name(), "a1111");
    assert_eq!(remote.serves, ["realistic", "anime"]);
    assert_eq!(remote.balance, Balance::RoundRobin);
    assert_eq!(remote.api_key.as_deref(), Some("sk-pod"));
    assert_eq!(remote.alive_interval, Duration::from_secs(3));
    assert_eq!(loaded.warnings, []);
    assert_eq!(row(&loaded.effective, "remote.pod.api_key").0, "\"***\"");
}

#[test]
fn a_remote_that_says_only_where_it_is() {
    let remotes = remotes("[remote.pod]\nurls = [\"http://a\"]\n[remote.second]\nurls = [\"http://a\"]\n");
    assert_eq!(remotes.len(), 2);
    let remote = &remotes[0];
    assert!(remote.engine.is_generic());
    assert_eq!((remote.serves.clone(), remote.balance), (vec!["pod".to_owned()], Balance::LeastBusy));
    assert_eq!((remote.api_key.clone(), remote.alive_interval), (None, Duration::from_secs(10)));
}

#[test]
fn urls_are_those_of_servers_and_none_stands_there_twice() {
    let folder = Folder::toml(
        r#"[remote.a]
urls = ["http://user:secret@h", "http://h?x=1", "http://h", "http://h/", "http://h:0"]
[remote.b]
urls = []
[remote.c]
urls = ["h:1"]
[remote.d]
urls = ["http://h"]
api_key = "two words"
alive.interval = "0s"
"#,
    );
    let problems = folder.problems();
    assert_eq!(
        problems[..6],
        [
            "g.toml:2:9 remote `a`: `urls`: this is no URL of a server",
            "g.toml:2:33 remote `a`: `urls`: this is no URL of a server",
            "g.toml:2:61 remote `a`: `urls`: `http://h` stands there twice",
            "g.toml:2:74 remote `a`: `urls`: this is no URL of a server",
            "g.toml:3:9 remote `b` has no `urls`",
            "g.toml:6:9 `remote.c.urls`: `h:1` is not a URL such as \"https://host:7860\"",
        ]
    );
    assert_eq!(problems[6], "g.toml:9:11 remote `d`: `api_key` cannot stand in a header");
    assert!(problems[7].starts_with("g.toml:10:18 `remote.d.alive.interval`"), "{problems:?}");
    assert!(!format!("{problems:?}").contains("secret"));
}

#[test]
fn nobody_answers_to_the_name_of_another() {
    let folder = Folder::toml(
        r#"[service.a]
command = "sleep 1"
serves = ["a", "m"]
[service.b]
command = "sleep 1"
[job.j]
command = "sd"
serves = ["b"]
[remote.a]
urls = ["http://h"]
serves = ["m", "n"]
[remote.c]
urls = ["http://h"]
serves = ["c", "b", "n"]
"#,
    );
    assert_eq!(
        folder.problems(),
        [
            "g.toml:8:11 service `b` and job `j` have one client name, `b`",
            "g.toml:9:9 a service and a remote have one name, `a`",
            "g.toml:11:11 service `a` and remote `a` have one client name, `m`",
            "g.toml:14:16 service `b` and remote `c` have one client name, `b`",
            "g.toml:14:21 remote `a` and remote `c` have one client name, `n`",
        ]
    );
}

#[test]
fn a_remote_may_be_the_default() {
    let text = "[gateway]\ndefault_model = \"pod\"\n[remote.pod]\nurls = [\"http://h\"]\n";
    assert_eq!(Folder::toml(text).loaded().spec.gateway.default_model, "pod");
}
