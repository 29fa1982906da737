//! `estimate`: how much memory a model will take, before it has ever run.

use std::path::{Path, PathBuf};

use greenroom_actors::{
    estimate::{
        Estimate, Side,
        diffusion::Picture,
        files,
        found::{Found, find},
        llama::{Model, Options},
    },
    spec::{GpuChoice, ServiceSpec},
    template::GpuLayers,
    units::ByteSize,
};
use serde_json::{Value, json};

use super::{
    args::{EstimateArgs, Global},
    failure::Failure,
    place,
    table::{Cell, table},
    terminal::Terminal,
    wrap::wrap,
};

/// The option for every command that people write last.
const JSON: &str = "--json";

/// Prints it.
pub fn run(args: &EstimateArgs, global: &Global, terminal: &Terminal) -> Result<i32, Failure> {
    let picture = picture(args)?;
    let Some((name, words)) = args.words.split_first() else { return Err(Failure::NoModel(String::new())) };
    // Whatever follows the model is llama-server's, but for this one, which it does not have.
    let words: Vec<String> = words.iter().filter(|word| *word != JSON).cloned().collect();
    let json = terminal.json || args.words.iter().any(|word| word == JSON);
    let asked = Asked::of(name, &words, global)?;
    let answer = match find(&asked.path)? {
        Found::Language(model) => asked.language(&model),
        Found::Image(bundle) => Answer {
            what: "an image model".to_owned(),
            layers: None,
            estimate: bundle.estimate(picture),
            path: asked.path,
            by_layers: Vec::new(),
        },
    };
    if json {
        terminal.value(&answer.json())?;
    } else {
        terminal.say(answer.render(terminal.width))?;
    }
    Ok(0)
}

/// What is to be estimated, and with which words in its command.
struct Asked {
    path: PathBuf,
    words: Vec<String>,
    environment: Vec<(String, String)>,
    folder: PathBuf,
    layers: GpuLayers,
    card: bool,
}

impl Asked {
    /// What lies at the path; else the service of that name.
    fn of(name: &str, words: &[String], global: &Global) -> Result<Self, Failure> {
        let path = Path::new(name);
        let is_service = || name.parse::<greenroom_actors::ids::ServiceName>().is_ok();
        if path.exists() || !is_service() {
            let (path, words) = (path.to_owned(), words.to_vec());
            let (environment, folder) = (Vec::new(), PathBuf::new());
            return Ok(Self { path, words, environment, folder, layers: GpuLayers::All, card: true });
        }
        let loaded = match place::load(global) {
            Ok(loaded) => loaded,
            Err(Failure::NoConfig) => return Err(Failure::NoModel(name.to_owned())),
            Err(failure) => return Err(failure),
        };
        let spec = loaded.spec.services.into_iter().find(|spec| spec.name.as_str() == name);
        Self::service(spec.as_ref().ok_or_else(|| Failure::NoModel(name.to_owned()))?, words)
    }

    fn service(spec: &ServiceSpec, words: &[String]) -> Result<Self, Failure> {
        let path = spec.model_file.clone().ok_or_else(|| Failure::NoModelFile(spec.name.to_string()))?;
        let own = spec.command.iter().skip(1).map(|part| part.plain());
        Ok(Self {
            path,
            words: own.chain(words.iter().cloned()).collect(),
            environment: spec.env.iter().map(|(name, value)| (name.clone(), value.plain())).collect(),
            folder: spec.working_dir.clone(),
            layers: spec.gpu_layers,
            card: spec.memory.gpu != GpuChoice::None,
        })
    }

    fn language(self, model: &Model) -> Answer {
        let words: Vec<&str> = self.words.iter().map(String::as_str).collect();
        let environment = self.environment.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let options = Options::read(&words, environment);
        let all = model.all_layers();
        let card = self.card && !options.no_device;
        let configured = match self.layers {
            GpuLayers::Count(n) => n,
            GpuLayers::All | GpuLayers::Auto => all,
        };
        let on_card = if card { options.gpu_layers.unwrap_or(configured).min(all) } else { 0 };
        let mut missing = Vec::new();
        let mut companions: u64 = 0;
        for path in &options.companions {
            match files::weigh(&self.folder.join(path)) {
                Ok(file) => companions = companions.saturating_add(file.size),
                Err(error) => missing.push(format!("{} is not counted: {error}", path.display())),
            }
        }
        let of = |n| model.estimate(&options, n, card).beside(companions, card);
        let mut estimate = of(on_card);
        estimate.notes.extend(missing);
        let by_layers =
            if card { (0..=all).map(of).map(|each| (each.vram(), each.ram())).collect() } else { Vec::new() };
        let what =
            format!("{}, {} layers, {} of weights", model.architecture(), model.layers(), ByteSize(model.weights()));
        Answer { what, layers: Some((on_card, all)), estimate, path: self.path, by_layers }
    }
}

/// `WIDTHxHEIGHT`.
fn picture(args: &EstimateArgs) -> Result<Picture, Failure> {
    let sides = args.picture.split_once(['x', 'X']).and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?)));
    let why = || format!("`{}` is no size; say it like 1024x768", args.picture);
    let (width, height) = sides.ok_or_else(|| Failure::Option { option: "--picture", why: why() })?;
    Ok(Picture { width, height, batch: args.batch.max(1) })
}

/// What is printed.
struct Answer {
    path: PathBuf,
    what: String,
    /// Layers on the card, and all of them with the output.
    layers: Option<(u32, u32)>,
    estimate: Estimate,
    /// VRAM and RAM with 0, 1, 2 and so on layers on the card.
    by_layers: Vec<(u64, u64)>,
}

impl Answer {
    fn json(&self) -> Value {
        let Self { path, what, layers, estimate, by_layers } = self;
        let part = |part: &greenroom_actors::estimate::Part| json!({ "part": part.what, "side": part.side.name(), "bytes": part.bytes, "basis": part.basis.name() });
        json!({
            "path": path,
            "model": what,
            "gpu_layers": layers.map(|(on_card, _)| on_card),
            "all_layers": layers.map(|(_, all)| all),
            "vram": estimate.vram(),
            "ram": estimate.ram(),
            "page_cache": estimate.on(Side::PageCache),
            "parts": estimate.parts.iter().map(part).collect::<Vec<_>>(),
            "notes": estimate.notes,
            "by_layers": by_layers.iter().map(|(vram, ram)| json!({ "vram": vram, "ram": ram })).collect::<Vec<_>>(),
        })
    }

    fn render(&self, width: Option<usize>) -> String {
        let mut lines = wrap(&format!("{}: {}", self.path.display(), self.what), width, 0, 2);
        lines.push(String::new());
        let row = |part: &greenroom_actors::estimate::Part| {
            let side = match part.side {
                Side::Gpu => "card",
                Side::Ram => "RAM",
                Side::PageCache => "page cache",
            };
            let size = Cell::number(ByteSize(part.bytes).to_string());
            vec![Cell::text(part.what), Cell::text(side), size, Cell::text(part.basis.name())]
        };
        let rows: Vec<Vec<Cell>> = self.estimate.parts.iter().map(row).collect();
        lines.extend(table(&["PART", "WHERE", "SIZE", "HOW IT IS KNOWN"], &rows, width, false));
        lines.push(String::new());
        lines.extend(wrap(&self.total(), width, 0, 2));
        lines.extend(self.estimate.notes.iter().flat_map(|note| wrap(&format!("- {note}"), width, 0, 2)));
        lines.join("\n")
    }

    fn total(&self) -> String {
        let size = |bytes: u64| ByteSize(bytes).to_string();
        let (estimate, cached) = (&self.estimate, self.estimate.on(Side::PageCache));
        let with = match self.layers {
            Some((on_card, all)) if on_card == all => "with all layers on the card".to_owned(),
            Some((0, _)) => "with no layer on a card".to_owned(),
            Some((on_card, all)) => format!("with {on_card} of {all} layers on the card (the output counts as one)"),
            None => "on the card".to_owned(),
        };
        let pages = if cached > 0 { format!(", of which {} is page cache", size(cached)) } else { String::new() };
        format!("{with}: {} of VRAM and {} of RAM{pages}", size(estimate.vram()), size(estimate.ram()))
    }
}
