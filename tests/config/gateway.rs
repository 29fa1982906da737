//! `[gateway]`: its doors, its keys, and who stands before them.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use greenroom::{
    Config,
    actors::{
        spec::{GatewaySpec, ListenAddress},
        units::ByteSize,
    },
};

use crate::folder::Folder;

fn gateway(text: &str) -> GatewaySpec {
    Folder::toml(text).loaded().spec.gateway
}

fn tcp(text: &str) -> ListenAddress {
    ListenAddress::Tcp(text.parse::<SocketAddr>().unwrap())
}

#[test]
fn a_file_that_says_nothing_has_a_door_on_this_machine() {
    let expected = GatewaySpec { listen: vec![tcp("127.0.0.1:8484")], ..GatewaySpec::default() };
    assert_eq!(gateway(""), expected);
    assert_eq!(gateway("[gateway]\nlisten = []\n"), GatewaySpec::default());
}

#[test]
fn every_key_arrives() {
    let folder = Folder::toml(
        r#"
[gateway]
listen = ["0.0.0.0:8080", "[::1]:0", "localhost:8081", "unix:run/door.sock", "unix:~/door.sock"]
api_keys = ["one", "${file:key}"]
default_model = "chat-small"
max_body = "1MiB"
max_connections = 7
header_timeout = "3s"
cors_origins = ["https://chat.example", "http://localhost:3000"]
loading_comments = false
queue.max_waiting = 3
queue.max_wait = "1m"
queue.fairness = "2s"
[service.chat]
command = "sleep 1"
serves = ["chat-small"]
"#,
    );
    folder.write("key", "two\n");
    let here = folder.dir.path();
    let unix = |path: PathBuf| ListenAddress::Unix(path);
    let expected = GatewaySpec {
        listen: vec![
            tcp("0.0.0.0:8080"),
            tcp("[::1]:0"),
            tcp("127.0.0.1:8081"),
            unix(here.join("run/door.sock")),
            unix(here.join("door.sock")),
        ],
        api_keys: vec!["one".to_owned(), "two".to_owned()],
        default_model: "chat-small".to_owned(),
        max_body: ByteSize(1 << 20),
        max_connections: 7,
        header_timeout: Duration::from_secs(3),
        cors_origins: vec!["https://chat.example".to_owned(), "http://localhost:3000".to_owned()],
        loading_comments: false,
        max_waiting: 3,
        max_wait: Duration::from_secs(60),
        fairness: Duration::from_secs(2),
    };
    let loaded = folder.loaded();
    assert_eq!(loaded.spec.gateway, expected);
    assert_eq!(loaded.warnings, []);
}

#[test]
fn a_door_that_others_can_reach_wants_a_key_and_brings_one() {
    let open = Folder::toml("[gateway]\nlisten = [\"127.0.0.1:1\", \"0.0.0.0:2\", \"[::]:3\"]\n");
    assert_eq!(
        open.problems(),
        [
            "g.toml:2:26 `gateway.listen`: `0.0.0.0:2` is open to others without a key",
            "g.toml:2:39 `gateway.listen`: `[::]:3` is open to others without a key",
        ]
    );
    let key = || {
        let errors = open.load().map(|_| ()).expect_err("it is refused").0;
        assert_eq!(errors[0].help, errors[1].help, "one key");
        let help = errors[0].help.clone().expect("what to do");
        assert!(help.contains("gateway.allow_unauthenticated = true"), "{help}");
        help.split('"').nth(1).expect("a key in quotes").to_owned()
    };
    let (one, other) = (key(), key());
    assert_ne!(one, other);
    assert!(one.len() >= 40 && one.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'), "{one}");
    // It can be pasted as it stands.
    let text = |line: &str| format!("[gateway]\nlisten = \"0.0.0.0:2\"\n{line}\n");
    assert_eq!(gateway(&text(&format!("api_keys = [\"{one}\"]"))).api_keys, [one]);
    assert_eq!(gateway(&text("allow_unauthenticated = true")).listen, [tcp("0.0.0.0:2")]);
    let faulty = Folder::toml(text("api_keys = [\"\"]")).problems();
    assert!(faulty.len() == 1 && faulty[0].contains("`gateway.api_keys`"), "{faulty:?}");
}

#[test]
fn doors_that_cannot_be_opened_are_refused() {
    let folder = Folder::toml(
        r#"[runtime]
state_dir = "s"
[gateway]
listen = ["127.0.0.1:1", "127.0.0.1:1", "localhost:1", "0.0.0.0:1", "example.org:2", "unix:s/greenroom.sock", "unix:x", "unix:./x"]
api_keys = ["k"]
"#,
    );
    assert_eq!(
        folder.problems(),
        [
            "g.toml:4:26 `gateway.listen`: `127.0.0.1:1` and one before it are the same door",
            "g.toml:4:41 `gateway.listen`: `localhost:1` and one before it are the same door",
            "g.toml:4:56 `gateway.listen`: `0.0.0.0:1` and one before it are the same door",
            "g.toml:4:69 `gateway.listen`: `example.org:2` is a name, and names are not looked up",
            "g.toml:4:86 `gateway.listen`: this is the control socket, which gives full control",
            "g.toml:4:121 `gateway.listen`: `unix:./x` and one before it are the same door",
        ]
    );
    let long = Folder::toml(format!("[gateway]\nlisten = \"unix:/{}\"\n", "x".repeat(107))).problems();
    assert!(long.len() == 1 && long[0].contains("is too long for a socket: 108 bytes"), "{long:?}");
    for form in ["8484", "127.0.0.1", "unix:", ":8484", "http://127.0.0.1:1"] {
        assert_eq!(Folder::toml(format!("[gateway]\nlisten = \"{form}\"\n")).problems().len(), 1, "{form}");
    }
}

#[test]
fn an_origin_is_what_a_browser_sends() {
    let text = "[gateway]\ncors_origins = [\"https://chat.example/app\", \"*\", \"chat.example\", \"http://a\"]\n";
    assert_eq!(
        Folder::toml(text).problems(),
        [
            "g.toml:2:17 `gateway.cors_origins`: no browser sends the origin `https://chat.example/app`",
            "g.toml:2:50 `gateway.cors_origins`: no browser sends the origin `chat.example`",
        ]
    );
}

#[test]
fn a_key_that_no_client_can_send_is_refused_and_not_shown() {
    let problems = Folder::toml("[gateway]\napi_keys = [\"fine\", \"my secret\"]\n").problems();
    assert_eq!(problems, ["g.toml:2:21 `gateway.api_keys`: no client can send key 2"]);
}

#[test]
fn the_default_model_is_somebodys() {
    let text = |model: &str| {
        format!(
            "[gateway]\ndefault_model = \"{model}\"\n[service.chat]\ncommand = \"sleep 1\"\nserves = [\"qwen\"]\n[service.b]\ncommand = \"sleep 1\"\n"
        )
    };
    for model in ["qwen", "b", ""] {
        assert_eq!(gateway(&text(model)).default_model, model);
    }
    let folder = Folder::toml(text("qwem"));
    assert_eq!(folder.problems(), ["g.toml:2:17 `gateway.default_model`: nobody serves `qwem`"]);
    let help = folder.load().map(|_| ()).expect_err("refused").0[0].help.clone();
    assert_eq!(help.as_deref(), Some("did you mean `qwen`?"));
}

#[test]
fn no_service_has_the_port_of_a_door() {
    let text = "[gateway]\nlisten = \"127.0.0.1:8484\"\n[service.a]\ncommand = \"sleep 1\"\nport = 8484\n";
    let problems = Folder::toml(text).problems();
    assert_eq!(problems, ["g.toml:5:8 service `a` and `gateway.listen` have one port, 8484"]);
}

#[test]
fn code_opens_no_door_unless_it_says_so() {
    let listen = |config: Config| config.read().expect("sound").spec.gateway.listen;
    assert_eq!(listen(Config::new()), []);
    assert_eq!(listen(Config::from_toml("[runtime]\nname = \"x\"\n")), []);
    assert_eq!(listen(Config::from_toml("[gateway]\nlisten = \"127.0.0.1:1\"\n")), [tcp("127.0.0.1:1")]);
    assert_eq!(listen(Config::new().set("gateway.listen", "127.0.0.1:0")), [tcp("127.0.0.1:0")]);
    let folder = Folder::new();
    let file = Config::load(folder.write("g.toml", "")).expect("readable");
    assert_eq!(listen(file), [tcp("127.0.0.1:8484")]);
}
