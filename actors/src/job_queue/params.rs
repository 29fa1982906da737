//! Whether a job has been given what it needs. Pure. All that is wrong is told at once.

use serde_json::{Map, Value, json};

use crate::spec::{JobDefinition, JobWork, ParamKind, ParamSpec};

/// All parameters of one job together, as JSON, in bytes.
pub const MOST_BYTES: usize = 1 << 20;
/// The longest text that can be one argument of a program, in bytes: `MAX_ARG_STRLEN` of execve(2), with pages of 4 KiB and
/// without the byte that ends it.
const LONGEST_ARGUMENT: usize = 32 * 4096 - 1;
/// Problems that are told one by one.
const MOST_TOLD: usize = 20;

/// A file that comes with a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileGiven {
    /// The parameter that it is for.
    pub param: String,
    /// Its name in the input folder.
    pub name: String,
    /// How large it is.
    pub size: u64,
}

/// The parameters of a job of this kind as they are kept: of the right type, defaults filled in, a file as
/// `{"file": NAME, "size": BYTES}`.
///
/// # Errors
/// Everything that is wrong, each in a sentence.
pub fn check(
    definition: &JobDefinition,
    given: &Map<String, Value>,
    files: &[FileGiven],
) -> Result<Map<String, Value>, Vec<String>> {
    let mut problems = Vec::new();
    let mut params = Map::new();
    for spec in &definition.params {
        match one(spec, given.get(&spec.name), files).and_then(|value| passable(definition, spec, value)) {
            Ok(Some(value)) => drop(params.insert(spec.name.clone(), value)),
            Ok(None) => {}
            Err(problem) => problems.push(problem),
        }
    }
    let is_known = |name: &str| definition.params.iter().any(|spec| spec.name == name);
    let names = given.keys().chain(files.iter().map(|file| &file.param));
    problems.extend(names.filter(|name| !is_known(name)).map(|name| unknown(name, definition)));
    // Reckoned from what was given, so that it does not have to be made first.
    if weight(&Value::Object(given.clone())) > MOST_BYTES {
        problems.push(format!("they are larger than {MOST_BYTES} bytes together; send large ones as files"));
    }
    if problems.is_empty() {
        return Ok(params);
    }
    let more = problems.len().saturating_sub(MOST_TOLD);
    problems.truncate(MOST_TOLD);
    problems.extend((more > 0).then(|| format!("and {more} more")));
    Err(problems)
}

/// What was accepted once, held against a definition that may have changed since.
///
/// # Errors
/// Everything that does not fit any more.
pub fn fit(definition: &JobDefinition, kept: &Map<String, Value>) -> Result<Map<String, Value>, Vec<String>> {
    let is_file = |name: &str| definition.params.iter().any(|spec| spec.name == name && spec.kind == ParamKind::File);
    let file = |name: &String, value: &Value| {
        let size = value.get("size").and_then(Value::as_u64).unwrap_or_default();
        Some(FileGiven { param: name.clone(), name: value.get("file")?.as_str()?.to_owned(), size })
    };
    let (files, plain): (Vec<_>, Vec<_>) = kept.iter().partition(|(name, _)| is_file(name));
    let plain = plain.into_iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    let files: Vec<FileGiven> = files.into_iter().filter_map(|(name, value)| file(name, value)).collect();
    check(definition, &plain, &files)
}

/// One parameter; nothing where it may be left out and is.
fn one(spec: &ParamSpec, given: Option<&Value>, files: &[FileGiven]) -> Result<Option<Value>, String> {
    let name = &spec.name;
    let sent: Vec<&FileGiven> = files.iter().filter(|file| file.param == *name).collect();
    let given = given.filter(|value| !value.is_null());
    let value = match (spec.kind, given, sent.as_slice()) {
        (ParamKind::File, None, [file]) => Some(json!({ "file": file.name, "size": file.size })),
        (ParamKind::File, _, [_, _, ..]) => return Err(format!("`{name}` takes one file, and {} came", sent.len())),
        (ParamKind::File, Some(_), _) => return Err(format!("`{name}` is a file, which must be sent along")),
        (_, _, [_, ..]) => return Err(format!("`{name}` is no file, and one was sent for it")),
        (kind, Some(value), []) => Some(typed(kind, value).ok_or_else(|| wrong(name, kind, value))?),
        (_, None, []) => spec.default.clone(),
    };
    match value {
        None if spec.flag.is_none() => Err(format!("`{name}` is missing")),
        value => Ok(value),
    }
}

/// A text that is to stand in a command line is looked at now: none of its attempts could be started.
fn passable(definition: &JobDefinition, spec: &ParamSpec, value: Option<Value>) -> Result<Option<Value>, String> {
    let text = match (&definition.work, &value) {
        (JobWork::Process(_), Some(Value::String(text))) => text,
        _ => return Ok(value),
    };
    let name = &spec.name;
    if text.contains('\0') {
        return Err(format!("`{name}` holds a NUL character, which cannot stand in a command line"));
    }
    if text.len() > LONGEST_ARGUMENT {
        return Err(format!(
            "`{name}` has {} bytes, and an argument of a program at most {LONGEST_ARGUMENT}; with `type = \"file\"` it would be a file",
            text.len()
        ));
    }
    Ok(value)
}

/// The value as its type; from a text, as the command line gives it, where that can be read so.
fn typed(kind: ParamKind, value: &Value) -> Option<Value> {
    match (kind, value) {
        (ParamKind::Text, Value::String(_)) | (ParamKind::Bool, Value::Bool(_)) => Some(value.clone()),
        (ParamKind::Float, Value::Number(number)) => number.as_f64().filter(|n| n.is_finite()).map(|_| value.clone()),
        (ParamKind::Int, Value::Number(number)) => (number.is_i64() || number.is_u64()).then(|| value.clone()),
        (ParamKind::Int, Value::String(text)) => {
            let text = text.trim();
            text.parse::<i64>().map(Value::from).or_else(|_| text.parse::<u64>().map(Value::from)).ok()
        }
        (ParamKind::Float, Value::String(text)) => {
            let number = text.trim().parse::<f64>().ok().filter(|number| number.is_finite())?;
            Some(Value::from(number))
        }
        (ParamKind::Bool, Value::String(text)) => text.trim().parse::<bool>().ok().map(Value::from),
        _ => None,
    }
}

fn wrong(name: &str, kind: ParamKind, value: &Value) -> String {
    let wanted = match kind {
        ParamKind::Text => "a text",
        ParamKind::Int => "a whole number",
        ParamKind::Float => "a number",
        ParamKind::Bool => "true or false",
        ParamKind::File => "a file",
    };
    let shown: String = value.to_string().chars().take(60).collect();
    format!("`{name}` takes {wanted}, and not {shown}")
}

fn unknown(name: &str, definition: &JobDefinition) -> String {
    let shown: String = name.chars().take(60).collect();
    let known: Vec<&str> = definition.params.iter().map(|spec| spec.name.as_str()).collect();
    match known.as_slice() {
        [] => format!("`{shown}` is no parameter of `{}`, which takes none", definition.name),
        known => format!("`{shown}` is no parameter of `{}`, which takes {}", definition.name, known.join(", ")),
    }
}

/// About how many bytes a value takes, in memory and as JSON; never less than its texts.
#[must_use]
pub fn weight(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 16,
        Value::String(text) => 16 + text.len(),
        Value::Array(values) => 16 + values.iter().map(weight).sum::<usize>(),
        Value::Object(members) => {
            16 + members.iter().map(|(name, value)| 16 + name.len() + weight(value)).sum::<usize>()
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::job_queue::sample::{definition, param, process};

    fn image() -> JobDefinition {
        let params = vec![
            param("prompt", ParamKind::Text, None, None),
            param("steps", ParamKind::Int, Some(json!(20)), None),
            param("cfg", ParamKind::Float, None, Some("--cfg")),
            param("tiling", ParamKind::Bool, Some(json!(false)), None),
            param("init", ParamKind::File, None, Some("--init-img")),
        ];
        JobDefinition { params, ..definition("image") }
    }

    fn map(value: Value) -> Map<String, Value> {
        value.as_object().cloned().expect("an object")
    }

    fn file(param: &str) -> FileGiven {
        FileGiven { param: param.to_owned(), name: "a.png".to_owned(), size: 7 }
    }

    #[test]
    fn defaults_are_filled_in_texts_become_numbers_and_files_are_named() {
        let given = map(json!({ "prompt": "a heron", "steps": " 4 ", "cfg": "1.5", "tiling": "true" }));
        let kept = check(&image(), &given, &[file("init")]).expect("all right");
        let init = json!({ "file": "a.png", "size": 7 });
        let expected = json!({ "prompt": "a heron", "steps": 4, "cfg": 1.5, "tiling": true, "init": init });
        assert_eq!(kept, map(expected));
        assert_eq!(fit(&image(), &kept), Ok(kept), "what was accepted once is accepted again");
        let least = check(&image(), &map(json!({ "prompt": "x", "cfg": null })), &[]).expect("all right");
        assert_eq!(least, map(json!({ "prompt": "x", "steps": 20, "tiling": false })));
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let given = map(json!({ "stepz": 1, "steps": 1.5, "cfg": "NaN", "tiling": 1, "init": "a.png" }));
        let problems = check(&image(), &given, &[file("mask")]).expect_err("nothing is right");
        let expected = [
            "`prompt` is missing",
            "`steps` takes a whole number, and not 1.5",
            "`cfg` takes a number, and not \"NaN\"",
            "`tiling` takes true or false, and not 1",
            "`init` is a file, which must be sent along",
            "`stepz` is no parameter of `image`, which takes prompt, steps, cfg, tiling, init",
            "`mask` is no parameter of `image`, which takes prompt, steps, cfg, tiling, init",
        ];
        assert_eq!(problems, expected);
        let twice = check(&image(), &map(json!({ "prompt": "x" })), &[file("init"), file("init"), file("prompt")]);
        assert_eq!(
            twice,
            Err(vec![
                "`prompt` is no file, and one was sent for it".to_owned(),
                "`init` takes one file, and 2 came".to_owned()
            ])
        );
    }

    #[test]
    fn what_no_command_line_can_hold_is_refused_where_a_process_does_the_job() {
        let process = JobDefinition { work: process(), ..image() };
        let nul = map(json!({ "prompt": "a\0b" }));
        let long = |bytes: usize| map(json!({ "prompt": "x".repeat(bytes) }));
        assert_eq!(
            check(&process, &nul, &[]),
            Err(vec!["`prompt` holds a NUL character, which cannot stand in a command line".to_owned()])
        );
        assert!(
            check(&process, &long(131_072), &[]).is_err_and(|told| told[0].starts_with("`prompt` has 131072 bytes"))
        );
        assert!(check(&process, &long(131_071), &[]).is_ok());
        assert!(check(&image(), &nul, &[]).is_ok(), "a request has no command line");
        assert!(check(&image(), &long(131_072), &[]).is_ok());
    }

    #[test]
    fn what_is_too_large_and_a_flood_of_names_are_refused_in_few_words() {
        let large = map(json!({ "prompt": "x".repeat(MOST_BYTES) }));
        assert!(check(&image(), &large, &[]).is_err_and(|problems| problems[0].contains("larger than")));
        let many = (0..1000).map(|n| (format!("p{n}"), Value::Null)).collect();
        let problems = check(&image(), &many, &[]).expect_err("none is known");
        assert_eq!((problems.len(), problems.last().map(String::as_str)), (MOST_TOLD + 1, Some("and 981 more")));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_accepted_has_its_type_and_is_accepted_again(
            names in prop::collection::vec(prop::sample::select(vec!["prompt", "steps", "cfg", "tiling", "init", "x"]), 0..7),
            values in prop::collection::vec(
                prop_oneof![
                    Just(Value::Null), any::<bool>().prop_map(Value::from), any::<i64>().prop_map(Value::from),
                    any::<f64>().prop_map(Value::from), ".{0,6}".prop_map(Value::from),
                    any::<i32>().prop_map(|n| Value::from(n.to_string())), Just(json!(["a"])),
                ],
                7,
            ),
            sent in any::<bool>(),
        ) {
            let given: Map<String, Value> = names.iter().map(|name| (*name).to_owned()).zip(values).collect();
            let files: Vec<FileGiven> = sent.then(|| file("init")).into_iter().collect();
            if let Ok(kept) = check(&image(), &given, &files) {
                prop_assert!(kept["prompt"].is_string() && kept["tiling"].is_boolean());
                prop_assert!(kept["steps"].is_i64() || kept["steps"].is_u64());
                prop_assert!(kept.get("cfg").is_none_or(Value::is_number));
                prop_assert_eq!(kept.get("init").is_some(), sent);
                prop_assert_eq!(fit(&image(), &kept), Ok(kept));
            }
        }
    }
}
