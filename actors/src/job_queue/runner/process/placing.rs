//! What is added to the command of stable-diffusion.cpp for one job, on what is known of the cards at that moment.

use actix_rt::task::spawn_blocking;

use crate::{
    engines::placement::{Room, Spelling, Wishes, batch, moves},
    estimate::files,
    job_queue::runner::{Rim, help::help},
    resource_orchestrator::view::CardView,
    spec::{GpuChoice, GpuName, ProcessJob, ServiceSpec},
    template::Template,
};

/// The engine whose options these are.
const ENGINE: &str = "sd-cpp";

/// Adds what the configuration, or a tight card, asks for, to a command that has all its other arguments.
pub(super) async fn place(spec: &mut ServiceSpec, job: &ProcessJob, rim: &Rim) {
    if spec.engine.name() != ENGINE {
        return;
    }
    let ProcessJob { clip_on_cpu, vae_on_cpu, batch_size, .. } = *job;
    let wishes = Wishes { clip_on_cpu, vae_on_cpu, batch_size };
    let texts = spec.arguments();
    let words: Vec<&str> = texts.iter().map(String::as_str).collect();
    let mut added = batch(&words, wishes);
    let room = room(spec, &words, rim).await;
    let moves = moves(&words, wishes, room);
    if !moves.is_empty() {
        let help = help(spec, &rim.state_dir).await;
        let spelling = Spelling::read(&help.text);
        if spelling.loses(room) && help.is_news() {
            tracing::warn!(
                job = %job.service.name,
                "the program knows neither `--clip-on-cpu` nor `--backend`, so that nothing of it is kept on the host"
            );
        }
        added.extend(moves.arguments(spelling));
    }
    spec.command.extend(added.into_iter().map(Template::text));
}

/// Where it would run: on the largest of the cards that it may use.
async fn room(spec: &ServiceSpec, arguments: &[&str], rim: &Rim) -> Room {
    let snapshot = rim.memory.look();
    // Nobody has looked at the cards yet.
    if snapshot.backend.is_empty() {
        return Room::Unknown;
    }
    let totals = snapshot.cards.iter().filter(|card| may_use(&spec.memory.gpu, card)).map(|card| card.total);
    let Some(total) = totals.max() else { return Room::NoCard };
    let further = spec.engine.companions(arguments).into_iter().map(|path| spec.working_dir.join(path));
    let paths: Vec<_> = spec.model_file.iter().cloned().chain(further).collect();
    let weighed = spawn_blocking(move || {
        let sizes = paths.iter().filter_map(|path| files::weigh(path).ok());
        sizes.fold(0, |sum: u64, file| sum.saturating_add(file.size))
    });
    match weighed.await {
        Ok(weights) if weights > 0 => Room::Card { total, weights },
        Ok(_) | Err(_) => Room::Unknown,
    }
}

fn may_use(choice: &GpuChoice, card: &CardView) -> bool {
    match choice {
        GpuChoice::None => false,
        GpuChoice::Any => true,
        GpuChoice::These(names) => names.iter().any(|name| match name {
            GpuName::Index(index) => *index == card.index,
            GpuName::Id(id) => *id == card.id,
        }),
    }
}
