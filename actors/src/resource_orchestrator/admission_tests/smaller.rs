//! Loads that run out of GPU memory.

use crate::{
    ids::ServiceName,
    lease::Wish,
    memory::{Layered, Need, NeedSource, VramNeed},
    resource_orchestrator::{
        admission::Event,
        admission_tests::{
            cases::alerts,
            given::{GIB, MIB, ms, need, spec},
            world::{Doing, World},
        },
    },
    spec::{GpuLayers, ReloadPolicy, ServiceSpec},
};

const ALERT: &str = "oom_on_load";

/// Ten layers of half a GiB each: all of them fit.
const MODEL: Layered = Layered { layers: 10, layer: 512 * MIB, card: 0 };

fn layered() -> Need {
    let vram = VramNeed::Layers(MODEL);
    Need { vram, vram_source: NeedSource::Estimate, ..need(0, GIB) }
}

fn llm(need: Need, change: impl FnOnce(&mut ServiceSpec)) -> (World, ServiceName) {
    let mut world = World::new(&[(8 * GIB, true)]);
    let llm = world.add(spec("llm", change), need);
    (world, llm)
}

/// It is granted memory, and runs out of it. With how many layers that was.
fn runs_out(world: &mut World, llm: &ServiceName, wish: Wish, model: Option<Layered>) -> Option<u32> {
    world.want(llm, wish);
    world.until("it loads", ms(3000), |world| *world.doing(llm) == Doing::Loads);
    let (run, layers) = (world.services[llm].run.expect("a run"), world.services[llm].placement.gpu_layers);
    world.step(Event::RanOut { service: llm.clone(), run, model });
    world.end(llm, run, true);
    layers
}

fn comes_in(world: &mut World, llm: &ServiceName, wish: Wish) -> Option<u32> {
    world.want(llm, wish);
    world.until("it is in", ms(3000), |world| *world.doing(llm) == Doing::Works);
    world.services[llm].placement.gpu_layers
}

fn leaves(world: &mut World, llm: &ServiceName) {
    world.stop(llm);
    world.until("it has left", ms(3000), |world| *world.doing(llm) == Doing::Nothing);
}

#[test]
fn the_next_start_takes_fewer_layers_once_and_so_do_all_that_follow() {
    let (mut world, llm) = llm(layered(), |_| ());
    assert_eq!(runs_out(&mut world, &llm, Wish::Wanted, None), Some(10));
    assert_eq!(alerts(&world, ALERT), (1, 0));
    assert_eq!(runs_out(&mut world, &llm, Wish::Restart, None), Some(9));
    assert_eq!(runs_out(&mut world, &llm, Wish::Restart, None), Some(9), "only one step is taken");
    assert_eq!(comes_in(&mut world, &llm, Wish::Wanted), Some(9));
    assert_eq!(alerts(&world, ALERT).1, 1);
    leaves(&mut world, &llm);
    // It has been ready like that: what fails now is another matter.
    assert_eq!(runs_out(&mut world, &llm, Wish::Wanted, None), Some(9));
    assert_eq!(comes_in(&mut world, &llm, Wish::Restart), Some(8));
    leaves(&mut world, &llm);
    let because = world.preview(&llm).expect("a plan").because.join("\n");
    assert!(because.contains("8 of 10 layers go to a card: with more of them it ran out"), "{because}");
}

#[test]
fn what_loads_something_else_by_now_is_tried_whole() {
    let (mut world, llm) = llm(layered(), |_| ());
    runs_out(&mut world, &llm, Wish::Wanted, None);
    world.reconfigure(&llm, spec("llm", |s| s.memory.priority = 7), layered());
    assert_eq!(comes_in(&mut world, &llm, Wish::Wanted), Some(9), "that changes nothing of what is loaded");
    leaves(&mut world, &llm);
    world.reconfigure(&llm, spec("llm", |s| s.model_file = Some("other.gguf".into())), layered());
    assert_eq!(comes_in(&mut world, &llm, Wish::Wanted), Some(10));
}

#[test]
fn a_reload_goes_where_it_was_unless_that_was_too_much() {
    let (mut world, llm) = llm(layered(), |s| s.memory.offload.reload = ReloadPolicy::WhenFree);
    let image = world.add(spec("image", |_| ()), need(6 * GIB, 0));
    assert_eq!(comes_in(&mut world, &llm, Wish::Wanted), Some(10));
    world.of(&llm).fails = true;
    comes_in(&mut world, &image, Wish::Wanted);
    leaves(&mut world, &image);
    world.until("it is brought back", ms(20_000), |world| *world.doing(&llm) == Doing::Loads);
    let (run, layers) = (world.services[&llm].run.expect("a run"), world.services[&llm].placement.gpu_layers);
    assert_eq!(layers, Some(10));
    world.step(Event::RanOut { service: llm.clone(), run, model: None });
    world.of(&llm).fails = false;
    world.end(&llm, run, true);
    world.of(&llm).down = false;
    world.until("it is back", ms(20_000), |world| *world.doing(&llm) == Doing::Works);
    assert_eq!(world.services[&llm].placement.gpu_layers, Some(9));
}

#[test]
fn a_number_that_is_configured_stays_and_another_one_is_told() {
    for (said, advised) in [(GpuLayers::Count(6), 5), (GpuLayers::Count(99), 9), (GpuLayers::All, 9)] {
        let (mut world, llm) = llm(need(5 * GIB, GIB), |s| s.gpu_layers = said);
        for _ in 0..2 {
            assert_eq!(runs_out(&mut world, &llm, Wish::Wanted, Some(MODEL)), None);
        }
        assert_eq!(alerts(&world, ALERT), (1, 0), "the same is not told twice");
        let told = format!("{:?}", world.told);
        assert!(told.contains(&format!("gpu_layers = {advised} would be the next to try")), "{told}");
    }
}

#[test]
fn where_nothing_is_known_of_layers_nothing_is_made_up() {
    let (mut world, llm) = llm(need(5 * GIB, GIB), |_| ());
    runs_out(&mut world, &llm, Wish::Wanted, None);
    assert_eq!(alerts(&world, ALERT), (0, 0));
    assert_eq!(comes_in(&mut world, &llm, Wish::Restart), None);
}
