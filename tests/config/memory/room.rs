//! Cards that are known, and what has no room on them or beside each other.

use greenroom::actors::spec::{GpuChoice, GpuName};

use super::given::{folder, memory, warnings};
use crate::folder::Folder;

#[test]
fn declared_cards_and_their_backend_go_together() {
    let none = folder("[resources]\ngpu_backend = \"declared\"\n[service.a]\ncommand = \"sleep 1\"\ngpu = 0\n");
    assert_eq!(none.problems(), ["g.toml:2:15 `resources.gpu_backend` is \"declared\", and no card is declared"]);
    let card = "[[resources.gpu]]\nmemory = \"8GiB\"\n";
    for backend in ["nvml", "amdgpu", "none"] {
        let said = warnings(&format!("[resources]\ngpu_backend = \"{backend}\"\n{card}"));
        assert!(
            said.len() == 1 && said[0].contains(&format!("is not used: `gpu_backend` is \"{backend}\"")),
            "{said:?}"
        );
    }
    for backend in ["auto", "declared"] {
        assert_eq!(warnings(&format!("[resources]\ngpu_backend = \"{backend}\"\n{card}")), [""; 0]);
    }
    let small = warnings("[resources]\ngpu_backend = \"declared\"\ngpu = [{ memory = \"512MiB\" }]\n");
    assert!(small.len() == 1 && small[0].contains("nothing of the card `declared 0` can be given out"), "{small:?}");
    let tiny = Folder::new().set("resources.gpu=[{memory=\"1B\"}]").problems();
    assert!(tiny[0].contains("`1B` is not a size of at least 1MiB"), "{tiny:?}");
}

#[test]
fn a_card_that_is_not_there_is_refused_where_the_cards_are_known() {
    let text = |gpu: &str| {
        format!(
            "[resources]\ngpu_backend = \"declared\"\ngpu = [{{ memory = \"8GiB\" }}]\n[service.a]\ncommand = \"sleep 1\"\ngpu = {gpu}\n"
        )
    };
    for card in ["0", "\"declared-0\""] {
        assert_eq!(folder(&text(card)).loaded().warnings, []);
    }
    for card in ["1", "\"declared-1\"", "\"GPU-1\""] {
        assert_eq!(folder(&text(card)).problems(), [format!("g.toml:6:7 service `a`: `gpu`: there is no card {card}")]);
    }
    let twice = folder(&text("[0, \"declared-0\"]")).problems();
    assert_eq!(twice, ["g.toml:6:7 service `a`: `gpu` names one card twice, by its index and its UUID"]);
    let none = folder("[resources]\ngpu_backend = \"none\"\n[service.a]\ncommand = \"sleep 1\"\ngpu = 0\n").problems();
    assert_eq!(none, ["g.toml:5:7 service `a`: `gpu`: there is no card 0"]);
    // Which cards a driver finds is not known here.
    assert_eq!(memory("gpu = 7\n").gpu, GpuChoice::These(vec![GpuName::Index(7)]));
}

#[test]
fn what_never_fits_is_said_beforehand() {
    let cards = "[resources]\ngpu_backend = \"declared\"\nram_limit = \"1GiB\"\ncustom.npu = 2\n\
                 gpu = [{ memory = \"8GiB\" }, { memory = \"4GiB\" }]\n";
    let one =
        |lines: &str| warnings(&format!("{cards}[service.a]\ncommand = \"sleep 1\"\nstart = \"manual\"\n{lines}\n"));
    assert_eq!(one("vram = \"11GiB\""), [""; 0], "spread over both");
    assert_eq!(
        one("vram = \"12GiB\""),
        ["g.toml:9:8 service `a` needs 12GiB of VRAM, of which at most 11GiB can be given"]
    );
    assert_eq!(one("vram = { idle = \"1GiB\", peak = \"5GiB\" }\ngpu = 1").len(), 1, "too large for that card");
    assert_eq!(one("vram = \"5GiB\"\ngpu = 0"), [""; 0]);
    assert_eq!(one("ram = \"2GiB\""), ["g.toml:9:7 service `a` needs 2GiB of RAM, of which at most 1GiB can be given"]);
    assert_eq!(one("ram = \"2GiB\"\ngpu = \"none\"").len(), 1);
    let cardless =
        warnings("[resources]\ngpu_backend = \"none\"\n[service.a]\ncommand = \"sleep 1\"\nvram = \"1GiB\"\n");
    assert!(cardless.len() == 1 && cardless[0].contains("there is no card"), "{cardless:?}");
    let nothing = warnings("[resources]\nram_reserve = \"900TiB\"\n[service.a]\ncommand = \"sleep 1\"\n");
    assert!(nothing.len() == 1 && nothing[0].starts_with("g.toml:2:15 nothing of the host's memory"), "{nothing:?}");
    let remedy = |lines: &str| {
        let text = format!("{cards}[service.a]\ncommand = \"sleep 1\"\nstart = \"manual\"\n{lines}\n");
        folder(&text).loaded().warnings.into_iter().filter_map(|warning| warning.help).collect::<String>()
    };
    assert!(remedy("vram = \"12GiB\"").contains("resources.vram_reserve"));
    assert!(remedy("ram = \"2GiB\"").contains("resources.ram_reserve"));
}

#[test]
fn eager_services_that_have_no_room_side_by_side_are_said_beforehand() {
    let cards = "[resources]\ngpu_backend = \"declared\"\nvram_reserve = \"0B\"\ncustom.npu = 2\ngpu = [{ memory = \"8GiB\" }]\n";
    let three = |b: &str| {
        let service = |name: &str, lines: &str| format!("[service.{name}]\ncommand = \"sleep 1\"\n{lines}\n");
        warnings(&format!(
            "{cards}{}{}{}",
            service("a", "vram = \"5GiB\"\nneeds.npu = 2"),
            service("b", b),
            service("c", "vram = \"9GiB\"\nstart = \"manual\""),
        ))
    };
    let alone = "service `c` needs 9GiB of VRAM, of which at most 8GiB can be given";
    assert_eq!(three("vram = \"3GiB\""), [format!("g.toml:15:8 {alone}")]);
    assert_eq!(
        three("vram = \"4GiB\"\nneeds.npu = 1"),
        [
            format!("g.toml:16:8 {alone}"),
            "g.toml:12:8 the eager services `a` (5GiB), `b` (4GiB) need 9GiB of VRAM together, of which at most 8GiB can be given"
                .to_owned(),
            "g.toml:13:13 the eager services `a` (2), `b` (1) need 3 of `npu` together, of which at most 2 can be given"
                .to_owned(),
        ]
    );
    assert_eq!(three("vram = \"4GiB\"\nstart = \"on_demand\"").len(), 1, "it makes room when it is asked for");
}
