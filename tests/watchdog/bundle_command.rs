//! `greenroom bundle` and `POST /api/bundle`: where the archive goes, what is refused, who may have it.

use std::{fs, os::unix::fs::PermissionsExt, process::Command};

use crate::{
    common::{Greenroom, Http},
    gateway, ready_run, service, watchdog,
};

const KEY: &str = "the-key-of-the-gate";

fn house(greenroom: &Greenroom) -> String {
    let keyed = gateway(greenroom).replace("[gateway]", &format!("[gateway]\napi_keys = [\"{KEY}\"]"));
    watchdog("") + &keyed + &service(greenroom, "chat", "", "")
}

/// Names in an archive, by the system's own `tar`.
#[track_caller]
fn listed(archive: &std::path::Path) -> String {
    let done = Command::new("tar").arg("-tf").arg(archive).output().expect("tar runs");
    assert!(done.status.success() && done.stderr.is_empty(), "{done:?}");
    String::from_utf8(done.stdout).expect("names")
}

#[test]
fn an_archive_goes_where_it_is_wanted_and_over_no_file_that_is_there() {
    let greenroom = Greenroom::running(house);
    ready_run(&greenroom, "chat");
    let target = greenroom.folder().join("a.tar");
    let path = target.display().to_string();
    let said = greenroom.cli(&["bundle", "-o", &path, "--json"]).expect(0).json();
    let size = fs::metadata(&target).expect("a file").len();
    assert_eq!((said["written"].as_str(), said["bytes"].as_u64()), (Some(path.as_str()), Some(size)));
    assert_eq!(said["by_runtime"], true);
    assert_eq!(fs::metadata(&target).expect("a file").permissions().mode() & 0o777, 0o600);
    let kept = greenroom.wait_bundles(1);
    assert_eq!(fs::read(&kept[0]).expect("kept as well"), fs::read(&target).expect("a file"));

    let refused = greenroom.cli(&["bundle", "-o", &path, "--json"]).expect(1);
    assert!(refused.stderr.contains("\"exists\"") && refused.stderr.contains("--force"), "{refused:?}");
    assert_eq!(fs::metadata(&target).expect("a file").len(), size);
    greenroom.cli(&["bundle", "-o", &path, "--force"]).expect(0);

    let piped = greenroom.cli_command(&["bundle", "-o", "-"]).output().expect("it runs");
    assert!(piped.status.success() && piped.stderr.is_empty(), "{piped:?}");
    let other = greenroom.folder().join("piped.tar");
    fs::write(&other, &piped.stdout).expect("written");
    let names = listed(&other);
    for name in ["SUMMARY.md", "config.toml", "logs/chat.log", "tree.txt", "services.json", "system.txt"] {
        assert!(names.lines().any(|line| line == name), "{name}: {names}");
    }

    let nowhere = greenroom.folder().join("not/there.tar").display().to_string();
    let refused = greenroom.cli(&["bundle", "-o", &nowhere]).expect(1);
    assert!(refused.stderr.contains(&nowhere), "{refused:?}");
    let left: Vec<String> = fs::read_dir(greenroom.folder())
        .expect("the folder")
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name.contains("partial"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

#[test]
fn who_comes_over_tcp_needs_the_key() {
    let greenroom = Greenroom::running(house);
    ready_run(&greenroom, "chat");
    let door = Http::Tcp(greenroom.port(0));
    let refused = door.ask("POST", "/api/bundle", "", "").expect("an answer");
    assert_eq!(refused.status, 401, "{refused:?}");
    assert!(greenroom.bundles().is_empty(), "nothing is made for who may not have it");
    let url = format!("http://127.0.0.1:{}", greenroom.port(0));
    let target = greenroom.folder().join("far.tar");
    let mut command = greenroom.cli_command(&[]);
    // Without a state dir: it is for this machine alone.
    command = Command::new(command.get_program());
    command.args(["--url", &url, "bundle", "-o"]).arg(&target).env("GREENROOM_API_KEY", KEY);
    let done = command.output().expect("it runs");
    assert!(done.status.success(), "{done:?}");
    assert!(listed(&target).contains("SUMMARY.md"));
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}
