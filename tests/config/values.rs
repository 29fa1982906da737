//! What becomes of values: commands, macros, variables, secrets, paths, everything that is `auto`.

use std::{path::PathBuf, time::Duration};

use greenroom::actors::{
    spec::{InheritEnv, PortSpec, Probe, StartMode},
    template::Template,
};

use crate::folder::{Folder, row, service, texts};

#[test]
fn commands_are_split_before_they_are_filled() {
    let folder = Folder::toml(
        r#"
[macros]
greeting = "hello ${who}"
who = "big world"
run = "sleep --port ${port} # and so on"
[service.a]
command = """
${run} '${greeting}' ${env.SPACED} \
  -x "${env.UNSET:-a b}" $${literal}   # a comment ${nonsense}
"""
[service.b]
command = ["sleep", "${greeting}", "${host}:${port}"]
"#,
    )
    .variable("SPACED", "x  y ${port}");
    let spec = folder.loaded().spec;
    assert_eq!(
        texts(&service(&spec, "a").command),
        ["/usr/bin/sleep", "--port", "<Port>", "hello big world", "x  y ${port}", "-x", "a b", "${literal}"]
    );
    assert_eq!(texts(&service(&spec, "b").command), ["/usr/bin/sleep", "hello big world", "<Host>:<Port>"]);
    assert_eq!(service(&spec, "a").port, Some(PortSpec::Assigned));
}

#[test]
fn holes_that_nothing_fills_are_told() {
    let folder = Folder::toml(
        r#"[macros]
loop = "${pool}"
pool = "${loop}"
[service.a]
command = ["sleep", "${prot}", "${env.NOPE}", "${file:nope}", "${param.x}", "${open"]
[service.b]
command = ["sleep", "${loop}"]
model_file = "${port}"
[service.c]
command = ["sleep", "${env.NOPE}", "${param.x}", "${file:nope}"]
"#,
    );
    assert_eq!(
        folder.problems(),
        [
            "g.toml:2:8 macros that hold one another without an end",
            "g.toml:3:8 macros that hold one another without an end",
            "g.toml:5:77 `service.a.command`: `${` is not closed: a `}` is missing",
            "g.toml:7:21 macros that hold one another without an end",
            "g.toml:8:14 `service.b.model_file`: `${port}` is known only when a service starts",
            "g.toml:10:21 the environment variable `NOPE` is not set",
            "g.toml:10:36 `${param.x}` stands for nothing here",
            "g.toml:10:50 `nope` cannot be read: No such file or directory",
        ]
    );
    // What follows from a variable that is not set is not told beside it.
    let unset = Folder::toml("[service.a]\ncommand = \"${env.NOPE}\"\n");
    assert_eq!(unset.problems(), ["g.toml:2:11 the environment variable `NOPE` is not set"]);
}

#[test]
fn secrets_come_from_files_and_are_not_shown() {
    let folder = Folder::toml("[gateway]\napi_keys = [\"${file:key}\", \"plain\"]\n[service.a]\ncommand = \"sleep 1\"\nenv = { HF_TOKEN = \"abc\", K = \"${file:key}\" }\n[remote.r]\nurls = [\"http://x\"]\napi_key = \"${env.POD}\"\n",
    )
    .variable("POD", "hidden")
    .set("gateway.default_model=a");
    folder.write("key", "  s3cret\n");
    let loaded = folder.loaded();
    assert_eq!(service(&loaded.spec, "a").env["K"], Template::text("s3cret"));
    let shown: String = loaded.effective.rows().iter().map(|row| format!("{} = {}\n", row.key, row.value)).collect();
    for secret in ["s3cret", "plain", "abc", "hidden"] {
        assert!(!shown.contains(secret), "{secret} is shown:\n{shown}");
    }
    assert_eq!(row(&loaded.effective, "gateway.api_keys").0, "\"***\"");
}

#[test]
fn a_variable_fits_a_key_of_any_type() {
    let text = "[service.a]\ncommand = \"sleep 1\"\nport = \"${env.P}\"\nready.timeout = \"${env.T:-20m}\"\nowner_check = \"${env.O}\"\n";
    let spec = Folder::toml(text).variable("P", "8080").variable("O", "false").loaded().spec;
    let a = service(&spec, "a");
    assert_eq!(
        (a.port, a.ready.timeout, a.owner_check),
        (Some(PortSpec::Fixed(8080)), Duration::from_secs(1200), false)
    );
    let problems = Folder::toml(text).variable("P", "x").variable("O", "false").problems();
    assert_eq!(problems, ["g.toml:3:8 `service.a.port`: expected a whole number from 0 to 65535, found \"x\""]);
}

#[test]
fn a_state_dir_too_long_for_a_socket_is_refused() {
    let long = format!("/tmp/{}", "x".repeat(100));
    let folder = Folder::toml(format!("[runtime]\nstate_dir = \"{long}\"\n"));
    let problems = folder.problems();
    assert_eq!(problems.len(), 1);
    assert!(problems[0].starts_with("g.toml:2:13 `runtime.state_dir` is too long for a socket"), "{problems:?}");
    // The longest one that fits: 107 bytes with `/greenroom.sock`.
    let fits = format!("/{}", "x".repeat(107 - 1 - "/greenroom.sock".len()));
    assert_eq!(Folder::new().set(&format!("runtime.state_dir={fits}")).loaded().spec.state_dir, PathBuf::from(fits));
}

#[test]
fn files_and_programs_that_are_not_there() {
    let folder = Folder::toml(
        "[service.a]\ncommand = \"sleep 1\"\nmodel_file = \"no.gguf\"\n[service.b]\ncommand = \"./run.sh\"\n[service.c]\ncommand = \"no-such-program\"\n",
    );
    let dir = folder.dir.path().display().to_string();
    assert_eq!(
        folder.problems(),
        ["g.toml:3:14 service `a`: the model file `no.gguf` cannot be read: No such file or directory"]
    );
    folder.write("no.gguf", "GGUF");
    folder.write("run.sh", "#!/bin/sh\n");
    let loaded = folder.loaded();
    let warnings: Vec<_> = loaded.warnings.iter().map(|warning| warning.message.clone()).collect();
    assert_eq!(
        warnings,
        [
            format!("service `b`: `{dir}/run.sh` is not executable; it will fail with `missing_command`"),
            "service `c`: the program `no-such-program` is not on PATH; it will fail with `missing_command`".to_owned(),
        ]
    );
    assert_eq!(texts(&service(&loaded.spec, "b").command), [format!("{dir}/run.sh")]);
    assert_eq!(service(&loaded.spec, "a").working_dir, folder.dir.path());
}

#[test]
fn engines_bring_their_probes_and_starts() {
    let folder = Folder::toml(
        "[service.l]\ncommand = \"llama-server --port ${port}\"\n[service.g]\ncommand = \"sleep 1\"\ninherit_env = [\"PATH\"]\n[service.f]\ncommand = \"sleep 1\"\nengine = \"sd-server\"\nport = 1234\nalive.probe = \"none\"\n",
    );
    let spec = folder.loaded().spec;
    let l = service(&spec, "l");
    assert_eq!((l.engine.name(), l.start, l.port), ("llama-server", StartMode::OnDemand, Some(PortSpec::Assigned)));
    assert_eq!((&l.ready.probe, &l.alive.probe), (&Probe::Http("/health".into()), &Probe::Http("/health".into())));
    let g = service(&spec, "g");
    assert_eq!((g.engine.name(), g.start, g.port), ("generic", StartMode::Eager, None));
    assert_eq!(g.inherit_env, InheritEnv::Only(vec!["PATH".to_owned()]));
    let f = service(&spec, "f");
    assert_eq!((&f.ready.probe, &f.alive.probe), (&Probe::Http("/v1/models".into()), &Probe::None));
    // A probe that asks a port which the program does not know could never succeed.
    let blind = Folder::toml("[service.a]\ncommand = \"sleep 1\"\nready = \"/health\"\n");
    assert_eq!(
        blind.problems(),
        ["g.toml:1:10 service `a`: `ready.probe` asks its port, and nothing tells the program which one that is"]
    );
}
