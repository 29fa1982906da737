use std::collections::VecDeque;

use bytes::Bytes;
use proptest::prelude::*;

use super::{Progress, Scan, Spotted, Written};
use crate::gateway::door::model::splice;

const FORM: &str = "application/x-www-form-urlencoded";
const MULTIPART: &str = "multipart/form-data; charset=x; boundary=\"a b\"";

/// What is found in a body that comes in these pieces.
fn scan<'a>(kind: &str, pieces: impl IntoIterator<Item = &'a [u8]>) -> Option<Spotted> {
    let mut scan = Scan::new(Some(kind).filter(|kind| !kind.is_empty()));
    for piece in pieces {
        match scan.feed(piece) {
            Progress::More => {}
            Progress::Found(spotted) => return Some(spotted),
            Progress::Nothing => return None,
        }
    }
    scan.finish()
}

fn name(kind: &str, body: &str) -> Option<String> {
    let whole = scan(kind, [body.as_bytes()]);
    for cut in 0..=body.len() {
        let (before, behind) = body.as_bytes().split_at(cut);
        assert_eq!(scan(kind, [before, behind]), whole, "cut at {cut}: {body}");
    }
    assert_eq!(scan(kind, body.as_bytes().chunks(1)), whole, "byte by byte: {body}");
    whole.map(|spotted| spotted.name)
}

fn json(body: &str) -> Option<String> {
    name("application/json; charset=utf-8", body)
}

#[test]
fn the_first_string_called_model_at_the_top_of_an_object_is_found() {
    for body in [
        r#"{"model":"qwen"}"#,
        " \r\n\t{ \"model\" \n:\t\"qwen\" , ",
        "\u{feff}{\"model\":\"qwen\"}",
        r#"{"messages":[{"model":"no","content":"\"model\":\"no\" \\"}],"stream":true,"model":"qwen"}"#,
        r#"{"a":{"model":"no","b":[[]]},"c":[],"d":{},"e":"\"","model":"qwen""#,
        r#"{"model":null,"model":{"model":"no"},"model":"qwen","model":"no"}"#,
        r#"{"\u006dodel":"q\u0077en"}"#,
        r#"{"a":1.5e3,"b":-2,"c":false,"xmodel":"no","modelx":"no","":"","model":"qwen"}"#,
    ] {
        assert_eq!(json(body).as_deref(), Some("qwen"), "{body}");
    }
    assert_eq!(json(r#"{"model":"a\/\"b\"\\ \ud83d\ude00 é"}"#).as_deref(), Some("a/\"b\"\\ 😀 é"));
    assert_eq!(name("", r#"{"model":"qwen"}"#).as_deref(), Some("qwen"), "without a content type");
}

#[test]
fn what_names_no_model_has_none() {
    for body in [
        "",
        "  ",
        "[]",
        "[{\"model\":\"no\"}]",
        "\"model\"",
        "not json",
        "{}",
        "{} {\"model\":\"no\"}",
        r#"{"a":1} {"model":"no"}"#,
        r#"{"model":3}"#,
        r#"{"model":["no"]}"#,
        r#"{"model""no"}"#,
        r#"{model:"no"}"#,
        r#"{"model":"no"#,
        r#"{"model":"\x"}"#,
        r#"{"MODEL":"no"}"#,
        "{\"model\":\"line\nend\"}",
    ] {
        assert_eq!(json(body), None, "{body}");
    }
    let long = format!("{{\"model\":\"{}\"}}", "x".repeat(2000));
    assert_eq!(scan("", [long.as_bytes()]), None, "longer than any name");
    let long = format!("{{\"{}\":1,\"model\":\"qwen\"}}", "model".repeat(100));
    assert_eq!(scan("", [long.as_bytes()]).map(|spotted| spotted.name).as_deref(), Some("qwen"));
}

#[test]
fn a_form_has_it_in_one_of_its_pairs() {
    for body in ["model=qwen", "a=b&model=qwen&model=no", "model=qwen\r\n", "modelx=no&model=%71wen&c", "&&model=qwen&"]
    {
        assert_eq!(name(FORM, body).as_deref(), Some("qwen"), "{body}");
    }
    assert_eq!(name(FORM, "model=org%2Fa+b%C3%A9").as_deref(), Some("org/a bé"));
    for body in ["", "model", "amodel=no", "a=model=no", "model=%zz", "model=%ff"] {
        assert_eq!(name(FORM, body), None, "{body}");
    }
    // What `curl -d` sends.
    assert_eq!(name(FORM, " {\"model\":\"qwen\"}").as_deref(), Some("qwen"));
}

fn field(head: &str, body: &str) -> String {
    format!("--a b\r\nContent-Disposition: form-data; {head}\r\n\r\n{body}\r\n")
}

#[test]
fn a_multipart_body_has_it_in_a_field_also_behind_files() {
    let file = field("name=\"model\"; filename=\"model\"", "\r\n--a\r\n--a c\r\n\r\nmodel");
    let qwen = field("name=model", "qwen");
    for body in [
        format!("{qwen}--a b--\r\n"),
        format!("a preamble\r\n{file}{qwen}--a b--\r\n"),
        format!("{}{file}{qwen}{file}", field("name=\"x\"", "")),
        format!("--a b\r\n\r\nno headers\r\n{qwen}--a b--"),
        "--a b\r\nX: y\r\ncontent-disposition:form-data;  NAME = \"mod\\el\"\r\n\r\nqwen\r\n--a b".to_owned(),
    ] {
        assert_eq!(name(MULTIPART, &body).as_deref(), Some("qwen"), "{body}");
    }
    for body in [
        String::new(),
        file.clone(),
        format!("{file}--a b--\r\n{qwen}"),
        field("filename*=UTF-8''x; name=\"model\"", "qwen"),
        qwen.replace("form-data", "attachment"),
        qwen.trim_end().to_owned(),
        qwen.replace("--a b", "--a"),
    ] {
        assert_eq!(name(MULTIPART, &body), None, "{body}");
    }
    assert_eq!(name("multipart/form-data", &qwen), None, "without a boundary");
}

#[test]
fn another_name_takes_the_place_of_the_one_that_was_found() {
    let put = |kind: &str, body: &str, name: &str| {
        let mut bodies: Vec<String> = (0..=body.len())
            .map(|cut| {
                let pieces =
                    [Bytes::copy_from_slice(&body.as_bytes()[..cut]), Bytes::copy_from_slice(&body.as_bytes()[cut..])];
                let spotted = scan(kind, pieces.iter().map(AsRef::as_ref)).expect("a name");
                let (spliced, grown) = splice(VecDeque::from(pieces), &spotted, name);
                let whole: Vec<u8> = spliced.iter().flat_map(|piece| piece.to_vec()).collect();
                assert_eq!(whole.len() as i64, body.len() as i64 + grown);
                String::from_utf8(whole).expect("text")
            })
            .collect();
        bodies.dedup();
        assert_eq!(bodies.len(), 1, "wherever it was cut: {bodies:?}");
        bodies.remove(0)
    };
    assert_eq!(put("", r#"{"a":1,"model": "q\u0077en" ,"b":2}"#, "a\"b"), r#"{"a":1,"model": "a\"b" ,"b":2}"#);
    assert_eq!(put("", r#"{"model":"qwen"}"#, ""), r#"{"model":""}"#);
    assert_eq!(put(FORM, "a=b&model=qwen&c", "x/y z"), "a=b&model=x%2Fy%20z&c");
    assert_eq!(put(FORM, " {\"model\":\"qwen\"}", "x"), " {\"model\":\"x\"}");
    let body = |name| field("name=\"x\"", "y") + &field("name=\"model\"", name) + "--a b--\r\n";
    assert_eq!(put(MULTIPART, &body("qwen"), "a longer name"), body("a longer name"));
}

#[test]
fn a_name_is_written_as_it_is_read() {
    for (written, kind, frame) in [(Written::Json, "", ["{\"model\":", "}"]), (Written::Percent, FORM, ["model=", "&"])]
    {
        let body = [frame[0].as_bytes(), &written.write("a\"b/c d&é"), frame[1].as_bytes()].concat();
        assert_eq!(scan(kind, [&body[..]]).map(|spotted| spotted.name).as_deref(), Some("a\"b/c d&é"));
    }
}

/// Keys and values, with blanks around them, and the name that is in them.
fn object() -> impl Strategy<Value = (String, Option<String>)> {
    let key = prop::sample::select(vec![r#""model""#, r#""m\u006fdel""#, r#""mode""#, r#""messages""#, r#""\"model""#]);
    let other = prop::sample::select(vec![
        "null",
        "-1.5",
        "true",
        "[]",
        "{}",
        r#"[{"model":"no"},"]"]"#,
        r#"{"model":"no","a":{"b":"}"}}"#,
    ]);
    let value = prop_oneof![
        other.prop_map(str::to_owned),
        "[a-z/\\\\\"é😀]{0,8}".prop_map(|s| serde_json::json!(s).to_string())
    ];
    let pairs = prop::collection::vec((key, value, "[ \t\r\n]{0,2}"), 0..8);
    pairs.prop_map(|pairs| {
        let text: Vec<String> =
            pairs.iter().map(|(key, value, blank)| format!("{blank}{key}{blank}:{blank}{value}{blank}")).collect();
        let named = pairs.iter().find(|(key, value, _)| {
            serde_json::from_str::<String>(key).expect("a key") == "model" && value.starts_with('"')
        });
        let name = named.map(|(_, value, _)| serde_json::from_str(value).expect("a string"));
        (format!("{{{}}}", text.join(",")), name)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_name_of_any_object_is_found_wherever_it_is_cut((body, expected) in object()) {
        prop_assert_eq!(json(&body), expected, "{}", body);
    }

    #[test]
    fn no_bytes_are_too_strange(
        kind in prop::sample::select(vec!["", FORM, MULTIPART, "multipart/form-data;boundary=-"]),
        bytes in prop::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(b"{}\":,\\model=&%\r\n-ab".to_vec())], 0..200),
        size in 1_usize..40,
    ) {
        let whole = scan(kind, [&bytes[..]]);
        prop_assert_eq!(&scan(kind, bytes.chunks(size)), &whole);
        if let Some(spotted) = whole {
            prop_assert!(spotted.at.start <= spotted.at.end && spotted.at.end <= bytes.len());
        }
    }
}
