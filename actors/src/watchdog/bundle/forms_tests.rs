//! That what stands behind a telling word is found however it is written, and in linear time.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::{os::clock, watchdog::bundle::Secrets};

fn cleaned(text: &str) -> String {
    Secrets::default().remove_from(text)
}

#[test]
fn every_form_is_a_regular_expression() {
    assert_eq!((FORMS.before.len(), FORMS.whole.len(), FORMS.option.is_some()), (BEFORE.len(), WHOLE.len(), true));
}

#[test]
fn what_is_cut_within_its_quotes_goes_to_the_end() {
    let cases = [
        (r#"api_key="hunter22"#, r#"api_key="***"#),
        ("api_key=\"hunter22\nnext", "api_key=\"***\nnext"),
        ("password: 'hunter 22", "password: '***"),
        (r#"--token "hunter 22"#, r#"--token "***"#),
        (r#"{"message":"x api_key=\"hunter22","n":1}"#, r#"{"message":"x api_key=\"***","n":1}"#),
        (r#"{"message":"x api_key=\"hunter 22…"}"#, r#"{"message":"x api_key=\"***"}"#),
        (r#"{"message":"x api_key='hunter 22"}"#, r#"{"message":"x api_key='***"}"#),
        (r#"{"message":"HF_TOKEN=\"hunter22"}"#, r#"{"message":"HF_TOKEN=\"***"}"#),
        (r#"Authorization: "Bearer hunter22"#, r#"Authorization: "***"#),
    ];
    for (text, expected) in cases {
        assert_eq!(cleaned(text), expected, "{text}");
    }
}

#[test]
fn all_of_a_list_goes() {
    let cases = [
        ("api_key=['hunter22', 'hunter23'], port=8000", "api_key=['***', '***'], port=8000"),
        ("Namespace(api_key=[b'hunter22', 'hunter23'], x=1)", "Namespace(api_key=[b'***', '***'], x=1)"),
        ("api_keys = [\n  \"hunter22\",\n  \"hunter23\",\n]\nx = 1", "api_keys = [\n  \"***\",\n  \"***\",\n]\nx = 1"),
        ("api_keys: [hunter22, hunter23] # x", "api_keys: [***, ***] # x"),
        ("api_key=('hunter22', 'hunter23')", "api_key=('***', '***')"),
        ("api_key={'hunter22', 'hunter23'}", "api_key={'***', '***'}"),
        (r#"{"Authorization":["Bearer hunter22"],"a":1}"#, r#"{"Authorization":["***"],"a":1}"#),
        (r#"{"m":"{\"api_keys\":[\"hunter22\",\"hunter23\"]}"}"#, r#"{"m":"{\"api_keys\":[\"***\",\"***\"]}"}"#),
        ("serve --api-key hunter22 hunter23 --port 1", "serve --api-key *** *** --port 1"),
        ("serve\0--api-key\0hunter22\0hunter23\0--port\x001", "serve\0--api-key\0***\0***\0--port\x001"),
        ("sh -c 'serve --api-key hunter22 hunter23 && echo x'", "sh -c 'serve --api-key *** *** && echo x'"),
        (
            r#"["serve","--api-key","hunter22","hunter23","--port","1"]"#,
            r#"["serve","--api-key","***","***","--port","1"]"#,
        ),
        (r#"["--api-key",["hunter22","hunter23"]]"#, r#"["--api-key",["***","***"]]"#),
        ("serve --api-key hunter22 ...", "serve --api-key *** ..."),
        // Of others only the next word is theirs.
        ("serve --password hunter22 model.gguf", "serve --password *** model.gguf"),
    ];
    for (text, expected) in cases {
        assert_eq!(cleaned(text), expected, "{text}");
    }
}

#[test]
fn json_within_json_and_what_is_no_value_are_told_apart() {
    let cases = [
        (r#"{"line":"{\"api_key\":\"hunter22\"}"}"#, r#"{"line":"{\"api_key\":\"***\"}"}"#),
        (
            r#"{"line":"{\"cmd\":\"x --token \\\"hunter 22\\\"\"}"}"#,
            r#"{"line":"{\"cmd\":\"x --token \\\"***\\\"\"}"}"#,
        ),
        (r#"{"line":"{\"api_key\":12345678}"}"#, r#"{"line":"{\"api_key\":\"***\"}"}"#),
        (r#"{"api_key":12345678,"n":1}"#, r#"{"api_key":"***","n":1}"#),
        (r#"["--api-key", 12345678]"#, r#"["--api-key", "***"]"#),
        ("args:\n  - --api-key\n  - hunter22\n", "args:\n  - --api-key\n  - ***\n"),
        ("--token --password hunter22", "--token --password ***"),
        (r"password='hunter\'22' x", "password='***' x"),
        (r"--password hunter\22 x", "--password *** x"),
    ];
    for (text, expected) in cases {
        assert_eq!(cleaned(text), expected, "{text}");
    }
    for text in [
        r#"{"run":"serve --token ","port":1}"#,
        r#"{"a":["--api-key",""],"b":"c"}"#,
        r#"{"api_key":null,"secret":{"name":"x"},"password":false}"#,
        "{\n  \"secret\": {\n    \"name\": \"x\"\n  }\n}",
        r#"{"password":""}"#,
    ] {
        assert_eq!(cleaned(text), text);
    }
}

/// Ways to write a secret behind a word: before and after it.
const AROUND: [(&str, &str); 18] = [
    ("serve --api-key ", " --port 1"),
    ("serve --api-key first ", ""),
    ("serve --hf-token=", " x"),
    ("--password \"", "\""),
    ("--password \"", ""),
    ("api_key='", "'"),
    ("api_key='", ""),
    ("api_key=\"", ""),
    ("api_key=['first', '", "', 'last']"),
    ("api_keys = [\"first\", \"", ""),
    ("API_KEY=", " x"),
    ("HF_TOKEN=\"", "\""),
    ("HF_TOKEN=\"", "\nx"),
    ("x-api-key: ", "\r\n"),
    ("Authorization: Bearer ", "\n"),
    ("\"Authorization\": \"Bearer ", "\","),
    ("http://me:", "@host/"),
    ("/v1?key=", "&a=1"),
];

/// What the forms are made of, and what may make them go wrong.
const PIECES: [&str; 22] = [
    "--api-key",
    "--token",
    "api_key",
    "HF_TOKEN",
    "Authorization",
    "bearer ",
    "password",
    "=",
    ": ",
    " ",
    "\"",
    "'",
    "\\",
    "\\\"",
    "[",
    "{",
    ", ",
    "]",
    "x",
    "-",
    "\n",
    "://a:b",
];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_secret_behind_a_word_is_gone_however_deep_in_json(
        secret in "[a-zA-Z0-9]{8,20}", around in prop::sample::select(AROUND.to_vec()), depth in 0usize..4, before in "[a-z ]{0,9}",
    ) {
        prop_assume!(!"serve --api-key first last Authorization: Bearer".contains(&secret));
        let mut text = format!("{before} {}{secret}{}", around.0, around.1);
        for _ in 0..depth {
            text = serde_json::json!({ "message": text, "n": [1, null] }).to_string();
        }
        let clean = cleaned(&text);
        prop_assert!(!clean.contains(&secret), "{} -> {}", text, clean);
        if depth > 0 {
            let value = serde_json::from_str::<serde_json::Value>(&clean);
            prop_assert!(value.is_ok_and(|value| value["n"] == serde_json::json!([1, null])), "{} -> {}", text, clean);
        }
    }

    #[test]
    fn what_is_clean_stays_as_it_is(pieces in prop::collection::vec(prop::sample::select(PIECES.to_vec()), 0..14)) {
        let once = cleaned(&pieces.concat());
        let twice = cleaned(&once);
        prop_assert_eq!(&twice, &once, "{:?}", pieces.concat());
    }

    #[test]
    fn what_is_found_lies_apart_and_in_order(pieces in prop::collection::vec(prop::sample::select(PIECES.to_vec()), 0..30)) {
        let text = pieces.concat();
        let found = find(text.as_bytes());
        prop_assert!(found.iter().all(|found| found.at.start < found.at.end && found.at.end <= text.len()));
        prop_assert!(found.windows(2).all(|pair| pair[0].at.end <= pair[1].at.start));
    }
}

proptest! {
    // Each of these is some megabytes of work.
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 12, ..ProptestConfig::default() })]

    /// What takes the square of its length takes hours for this, and what takes a multiple of it about a second.
    #[test]
    fn whatever_it_looks_at_takes_linear_time(pieces in prop::collection::vec(prop::sample::select(PIECES.to_vec()), 1..5)) {
        let text = pieces.concat().repeat(128 << 10).into_bytes();
        let begin = clock::now();
        drop(find(&text[..text.len().min(256 << 10)]));
        let took = clock::now().saturating_duration_since(begin);
        prop_assert!(took < Duration::from_secs(30), "{took:?} for {pieces:?}");
    }
}
