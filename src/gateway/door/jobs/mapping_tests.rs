use bytes::Bytes;
use greenroom_actors::job_queue::messages::Upload;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::gateway::door::jobs::{
    form::Part,
    sample::{self, param},
};

const PNG: &str = "iVBORw0KGgo=";
const PNG_BYTES: &[u8] = b"\x89PNG\r\n\x1a\n";

/// A job with these parameters; those that begin with `@` take files.
fn definition(params: &[&str]) -> JobDefinition {
    let of = |name: &&str| match name.strip_prefix('@') {
        Some(name) => param(name, ParamKind::File),
        None => param(name, ParamKind::Text),
    };
    sample::definition(params.iter().map(of).collect())
}

fn wish(members: Value) -> Wish {
    let Value::Object(members) = members else { panic!("an object") };
    Wish { members, files: Vec::new() }
}

fn made(params: &[&str], call: Call, members: Value) -> Result<JobSpec, ApiError> {
    job(&definition(params), call, wish(members), 0)
}

#[track_caller]
fn params(params: &[&str], call: Call, members: Value) -> Value {
    Value::Object(made(params, call, members).expect("a job").params)
}

#[track_caller]
fn refused(params: &[&str], call: Call, members: Value) -> (Option<&'static str>, String) {
    let error = made(params, call, members).expect_err("it cannot be done");
    (error.param, error.message)
}

#[test]
fn what_is_declared_is_taken_and_the_rest_is_left_out() {
    let body = json!({ "model": "sdxl", "prompt": "a heron", "size": "640x480", "seed": 7, "user": "me", "style": "vivid",
                       "response_format": "url", "negative_prompt": "fog", "quality": null, "n": 1 });
    let all = ["prompt", "width", "height", "seed", "negative", "quality", "user"];
    let expected = json!({ "seed": 7, "prompt": "a heron", "width": 640, "height": 480, "negative": "fog" });
    assert_eq!(params(&all, Call::Generations, body.clone()), expected);
    assert_eq!(params(&["prompt"], Call::Generations, body.clone()), json!({ "prompt": "a heron" }));
    assert_eq!(params(&["size"], Call::Generations, body), json!({ "size": "640x480" }));
}

#[test]
fn a_name_of_its_own_goes_before_what_only_may_be_called_so() {
    let body = json!({ "negative_prompt": "fog", "negative": "rain", "cfg_scale": 7 });
    assert_eq!(params(&["negative", "cfg"], Call::TextToImage, body.clone()), json!({ "negative": "rain", "cfg": 7 }));
    let expected = json!({ "negative_prompt": "fog", "negative": "rain" });
    assert_eq!(params(&["negative", "negative_prompt"], Call::TextToImage, body), expected);
}

#[test]
fn what_is_said_of_the_sides_wins_over_the_size_of_both() {
    let sides = ["width", "height"];
    let body = json!({ "size": "640x480", "width": 512 });
    assert_eq!(params(&sides, Call::Generations, body), json!({ "width": 512, "height": 480 }));
    assert_eq!(params(&sides, Call::Generations, json!({ "size": "auto" })), json!({}));
    for wrong in [json!("big"), json!("512"), json!("512x"), json!(512), json!("-1x2")] {
        assert_eq!(refused(&sides, Call::Generations, json!({ "size": wrong })).0, Some("size"), "{wrong}");
    }
}

#[test]
fn several_images_are_for_a_job_that_says_so() {
    let two = json!({ "n": 2 });
    for name in ["n", "batch", "batch_count"] {
        assert_eq!(params(&[name], Call::Generations, two.clone()), json!({ name: 2 }));
    }
    let three = json!({ "n": "3", "image": PNG });
    assert_eq!(params(&["n", "@init"], Call::Edits, three), json!({ "n": 3 }), "as a form tells it");
}

#[test]
fn a_job_that_makes_one_image_says_so() {
    let (param, message) = refused(&["prompt"], Call::Generations, json!({ "n": 2 }));
    assert_eq!(param, Some("n"));
    assert_eq!(message, "`image` makes one image at a time: it declares none of `n`, `batch_count`, `batch`");
    assert_eq!(params(&["prompt"], Call::Generations, json!({ "n": 1 })), json!({}));
    for wrong in [json!(0), json!(-1), json!(1.5), json!("many"), json!([])] {
        assert_eq!(refused(&["n"], Call::Generations, json!({ "n": wrong })).0, Some("n"), "{wrong}");
    }
}

#[test]
fn the_web_ui_counts_rounds_and_images_in_each() {
    let both = json!({ "n_iter": 2, "batch_size": 3 });
    assert_eq!(params(&["batch"], Call::TextToImage, both.clone()), json!({ "batch": 6 }));
    assert_eq!(params(&["batch_size", "n"], Call::TextToImage, both.clone()), json!({ "n": 2, "batch_size": 3 }));
    assert_eq!(params(&["batch_size", "n_iter"], Call::TextToImage, both.clone()), both);
    assert_eq!(refused(&[], Call::TextToImage, both).0, Some("n"));
    let most = json!({ "n_iter": u64::MAX, "batch_size": 3 });
    assert_eq!(params(&["n"], Call::TextToImage, most), json!({ "n": u64::MAX }));
    assert_eq!(params(&[], Call::TextToImage, json!({ "n_iter": 1, "batch_size": 1 })), json!({}));
}

#[track_caller]
fn uploads(declared: &[&str], call: Call, members: Value) -> Vec<Upload> {
    made(declared, call, members).expect("a job").files
}

fn png(param: &str) -> Upload {
    let contents = Contents::Bytes(Bytes::from_static(PNG_BYTES));
    Upload { param: param.to_owned(), name: format!("{param}.png"), contents }
}

#[test]
fn the_image_to_begin_with_goes_to_the_file_of_that_name_or_the_only_one() {
    let body = json!({ "prompt": "x", "init_images": [PNG] });
    let img2img = |declared: &[&str]| uploads(declared, Call::ImageToImage, body.clone());
    assert_eq!(img2img(&["prompt", "@init"]), [png("init")]);
    assert_eq!(img2img(&["@photo"]), [png("photo")]);
    assert_eq!(img2img(&["@mask", "@input"]), [png("input")]);
    let url = json!({ "init_images": [format!("data:image/png;base64,{PNG}")] });
    assert_eq!(uploads(&["@init"], Call::ImageToImage, url), [png("init")]);
    assert_eq!(uploads(&["@init"], Call::ImageToImage, json!({ "init": PNG })), [png("init")]);
    assert_eq!(uploads(&["@init"], Call::Edits, json!({ "image": PNG })), [png("init")]);
    let masked = json!({ "init_images": [PNG], "mask": PNG });
    assert_eq!(uploads(&["@init", "@mask_image"], Call::ImageToImage, masked), [png("init"), png("mask_image")]);
    assert_eq!(uploads(&["@pose"], Call::Generations, json!({ "pose": PNG })), [png("pose")]);
}

#[test]
fn an_image_that_is_wanted_and_cannot_be_had_is_refused() {
    let of = |declared: &[&str], body| refused(declared, Call::ImageToImage, body).0;
    assert_eq!(of(&["prompt"], json!({ "init_images": [PNG] })), Some("model"), "it takes none");
    assert_eq!(of(&["@mask", "@pose"], json!({ "init_images": [PNG] })), Some("model"), "which of them?");
    for none in [json!({}), json!({ "init_images": [] }), json!({ "init_images": null })] {
        assert_eq!(of(&["@init"], none.clone()), Some("image"), "{none}");
    }
    assert_eq!(of(&["@init"], json!({ "init_images": [PNG, PNG] })), Some("init_images"));
    for wrong in [json!("!"), json!(""), json!(7), json!("data:image/png,abc")] {
        assert_eq!(of(&["@init"], json!({ "init_images": [wrong] })), Some("body"), "{wrong}");
    }
}

#[test]
fn the_files_of_a_form_are_sent_along_as_they_are() {
    let part =
        |name: &str| Part { name: name.to_owned(), file: Some("a.png".to_owned()), contents: Bytes::from("PNG") };
    let of = |declared: &[&str], files: &[&str]| {
        let wish = Wish { files: files.iter().map(|name| part(name)).collect(), ..wish(json!({ "prompt": "x" })) };
        let job = job(&definition(declared), Call::Edits, wish, 3).expect("a job");
        assert_eq!(job.priority, 3);
        job.files.into_iter().map(|file| (file.param, file.name)).collect::<Vec<_>>()
    };
    let named = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), "a.png".to_owned())).collect::<Vec<_>>();
    for field in ["image", "image[]"] {
        assert_eq!(of(&["@photo"], &[field]), named(&["photo"]));
    }
    assert_eq!(of(&["@init", "@mask"], &["mask", "image", "other"]), named(&["mask", "init"]));
    assert_eq!(of(&["@init"], &["image", "image"]), named(&["init"]), "the first");
}

#[test]
fn the_answer_is_wanted_in_one_of_two_formats() {
    let of = |call, said| format(call, &wish(json!({ "response_format": said }))).map_err(|error| error.param);
    assert_eq!(of(Call::Generations, json!("b64_json")), Ok(Format::Base64));
    assert_eq!(of(Call::Edits, json!("url")), Ok(Format::Url));
    assert_eq!(of(Call::Generations, Value::Null), Ok(Format::Base64));
    assert_eq!(of(Call::Generations, json!("png")), Err(Some("response_format")));
    assert_eq!(of(Call::TextToImage, json!("url")), Ok(Format::Base64), "which the web UI does not know");
    assert_eq!(format(Call::Generations, &wish(json!({}))), Ok(Format::Base64));
}

#[test]
fn an_answer_tells_what_was_asked_without_the_images() {
    let asked = wish(json!({ "prompt": "x", "init_images": [PNG], "pose": PNG, "mask": PNG, "steps": 4 }));
    let told = told_back(&definition(&["@pose"]), &asked);
    assert_eq!(
        Value::Object(told),
        json!({ "prompt": "x", "init_images": null, "pose": null, "mask": null, "steps": 4 })
    );
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is asked, only what is declared is filled in, and nothing twice.
    #[test]
    fn nothing_is_given_that_is_not_declared(
        members in prop::collection::hash_map(
            prop::sample::select(vec!["prompt", "n", "size", "width", "init", "image", "init_images", "mask", "n_iter",
                "batch_size", "negative", "negative_prompt", "seed"]),
            prop::sample::select(vec![json!(1), json!("1"), json!("2x3"), json!(PNG), json!([PNG]), json!(null)]),
            0..8,
        ),
        declared in prop::collection::hash_set(
            prop::sample::select(vec!["prompt", "n", "width", "height", "@init", "@mask", "negative", "size", "seed"]),
            0..6,
        ),
        call in prop::sample::select(vec![Call::Generations, Call::Edits, Call::TextToImage, Call::ImageToImage]),
    ) {
        let declared: Vec<&str> = declared.into_iter().collect();
        let members = Value::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect());
        if let Ok(job) = made(&declared, call, members) {
            let mut given: Vec<String> = job.params.keys().cloned().collect();
            given.extend(job.files.iter().map(|file| format!("@{}", file.param)));
            let all = given.len();
            given.sort();
            given.dedup();
            prop_assert_eq!(given.len(), all);
            prop_assert!(given.iter().all(|name| declared.contains(&name.as_str())), "{:?} of {:?}", given, declared);
            prop_assert!(!call.takes_image() || given.iter().any(|name| name == "@init" || name == "@mask"));
        }
    }
}
