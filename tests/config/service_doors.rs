//! How requests get to one service: how many at a time, under which name, at which door.

use greenroom::actors::spec::{DoorSpec, ListenAddress};

use crate::folder::{Folder, service};

fn door(lines: &str) -> DoorSpec {
    let text = format!("[service.a]\n{lines}\n");
    service(&Folder::toml(text).loaded().spec, "a").door.clone()
}

fn local(port: u16) -> ListenAddress {
    ListenAddress::Tcp(([127, 0, 0, 1], port).into())
}

#[test]
fn a_service_that_says_nothing_takes_all_requests_as_they_come() {
    assert_eq!(door("command = \"sleep 1\""), DoorSpec::default());
}

#[test]
fn the_slots_of_the_engine_count_where_the_command_tells_them_and_nothing_else_is_said() {
    let limit = |line: &str, command: &str| {
        door(&format!("command = \"{command}\"\nengine = \"llama-server\"\n{line}")).max_concurrency
    };
    assert_eq!(limit("", "sleep --port ${port} -np 4"), Some(4));
    assert_eq!(limit("max_concurrency = \"auto\"", "sleep --port ${port} --parallel 2"), Some(2));
    assert_eq!(limit("max_concurrency = 7", "sleep --port ${port} -np 4"), Some(7));
    assert_eq!(limit("max_concurrency = 0", "sleep --port ${port} -np 4"), None);
    assert_eq!(limit("", "sleep --port ${port}"), None);
    assert_eq!(door("command = \"sleep -np 4\"").max_concurrency, None, "generic programs have no slots");
    let refused = Folder::toml("[service.a]\ncommand = \"sleep 1\"\nmax_concurrency = -1\n").problems();
    assert_eq!(refused.len(), 1, "{refused:?}");
}

#[test]
fn a_name_for_the_engine_and_a_door_arrive() {
    let spec = door("command = \"sleep ${port}\"\nupstream_model = \"own\"\nlisten = \"localhost:8188\"");
    assert_eq!((spec.upstream_model.as_deref(), spec.listen), (Some("own"), Some(local(8188))));
    let folder = Folder::toml("[service.a]\ncommand = \"sleep ${port}\"\nlisten = \"unix:run/a.sock\"\n");
    let path = folder.dir.path().join("run/a.sock");
    assert_eq!(service(&folder.loaded().spec, "a").door.listen, Some(ListenAddress::Unix(path)));
}

#[test]
fn a_door_of_a_service_keeps_the_rules_of_the_gateways() {
    let folder = Folder::toml(
        r#"[runtime]
state_dir = "s"
[gateway]
listen = "127.0.0.1:1"
[service.a]
command = "sleep ${port}"
listen = "127.0.0.1:1"
[service."b.c"]
command = "sleep ${port}"
listen = "0.0.0.0:2"
[service.d]
command = "sleep ${port}"
listen = "127.0.0.1:2"
[service.e]
command = "sleep ${port}"
listen = "example.org:3"
[service.f]
command = "sleep ${port}"
listen = "unix:s/greenroom.sock"
[service.g]
command = "sleep 1"
listen = "127.0.0.1:4"
[service.h]
command = "sleep 1"
port = 4
"#,
    );
    assert_eq!(
        folder.problems(),
        [
            "g.toml:7:10 `gateway.listen` and `service.a.listen` are the same door",
            "g.toml:10:10 `service.\"b.c\".listen`: `0.0.0.0:2` is open to others without a key",
            "g.toml:13:10 `service.\"b.c\".listen` and `service.d.listen` are the same door",
            "g.toml:16:10 `service.e.listen`: `example.org:3` is a name, and names are not looked up",
            "g.toml:19:10 `service.f.listen`: this is the control socket, which gives full control",
            "g.toml:20:10 service `g`: `listen` asks its port, and nothing tells the program which one that is",
            "g.toml:25:8 service `h` and `service.g.listen` have one port, 4",
        ]
    );
    let keyed = "[gateway]\napi_keys = [\"k\"]\n[service.a]\ncommand = \"sleep ${port}\"\nlisten = \"0.0.0.0:2\"\n";
    assert!(Folder::toml(keyed).load().is_ok());
}
