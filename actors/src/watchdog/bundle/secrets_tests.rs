//! That no secret gets through, wherever it stands, and that what is none does.

use proptest::prelude::*;

use super::*;

fn cleaned(text: &str) -> String {
    Secrets::default().remove_from(text)
}

#[test]
fn what_follows_a_telling_word_goes() {
    let cases = [
        ("serve --api-key hunter22 --port 1", "serve --api-key *** --port 1"),
        ("serve --api-key=hunter22 -x", "serve --api-key=*** -x"),
        ("--hf_token\0hunter22\0--x\0", "--hf_token\0***\0--x\0"),
        (r#"["serve","--api-key","hunter22","-x"]"#, r#"["serve","--api-key","***","-x"]"#),
        (r#"{"run":"serve --password \"two words\" -x"}"#, r#"{"run":"serve --password \"***\" -x"}"#),
        (r#"{"run":"a --api-key hunter22\n--x"}"#, r#"{"run":"a --api-key ***\n--x"}"#),
        ("Authorization: Bearer hunter22", "Authorization: Bearer ***"),
        ("authorization: Basic aHVudGVyMjI=\r\nHost: a", "authorization: Basic ***\r\nHost: a"),
        (r#"{"Authorization": "Bearer hunter22"}"#, r#"{"Authorization": "***"}"#),
        ("X-Api-Key: hunter22", "X-Api-Key: ***"),
        (r#"{"api_key":"hunter 22","n":1}"#, r#"{"api_key":"***","n":1}"#),
        ("password = 'hunter 22' # why", "password = '***' # why"),
        ("OPENAI_API_KEY=hunter22 PATH=/bin", "OPENAI_API_KEY=*** PATH=/bin"),
        (r#"{"env":{"HF_TOKEN":"hunter22"}}"#, r#"{"env":{"HF_TOKEN":"***"}}"#),
        ("GET http://me:hunter22@host/x", "GET http://me:***@host/x"),
        ("https://host/x?key=hunter22&y=1", "https://host/x?key=***"),
        ("it says sk-abcdefghijklmnop1234 here", "it says *** here"),
    ];
    for (text, expected) in cases {
        let cleaned = cleaned(text);
        assert!(!cleaned.contains("hunter") && !cleaned.contains("aHVud"), "{text}: {cleaned}");
        assert_eq!(cleaned, expected, "{text}");
    }
}

#[test]
fn what_is_no_secret_stays() {
    for text in [
        "print_info: EOS token        = 151645 '<|im_end|>'",
        "prompt eval time = 12.3 ms / 12 tokens (1.0 ms per token, 975 tokens per second)",
        "llama-server --max-tokens 512 --port 8080 -ngl 99",
        "--api-key-file /run/key",
        r#"{"usage":{"prompt_tokens":12,"total_tokens":20}}"#,
        "http://127.0.0.1:8080/health",
        "monkey = banana, keyboard: qwerty",
    ] {
        assert_eq!(cleaned(text), text);
    }
}

#[test]
fn a_known_value_goes_wherever_it_stands() {
    let secrets = Secrets::new(["s3cr\"et value".to_owned(), "--key=hunter22".to_owned(), "tiny".to_owned()]);
    let text = "log: s3cr\"et value; json: {\"a\":\"s3cr\\\"et value\"}; hunter22x; tiny";
    assert_eq!(secrets.remove_from(text), "log: ***; json: {\"a\":\"***\"}; ***x; tiny");
    let bytes = secrets.remove(b"\xff\x00hunter22\xfe");
    assert_eq!(bytes, b"\xff\x00***\xfe");
    let inner = Secrets::new(["abcdefgh".to_owned(), "abcdefghijkl".to_owned()]);
    assert_eq!(inner.remove_from("abcdefghijkl abcdefgh"), "*** ***");
}

#[test]
fn an_environment_tells_by_its_names() {
    let variable = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let secrets = Secrets::of_environment([variable("HF_TOKEN", "hunter22"), variable("LANG", "C.UTF-8")]);
    assert_eq!(secrets.remove_from("hunter22 C.UTF-8"), "*** C.UTF-8");
    assert_eq!(format!("{secrets:?}"), "Secrets(1)");
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic_and_a_second_time_changes_nothing(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let once = Secrets::default().remove(&bytes);
        prop_assert_eq!(Secrets::default().remove(&once), once);
    }

    #[test]
    fn a_known_secret_is_in_no_text(
        secret in "[a-zA-Z0-9/+\"'\\\\ .-]{8,24}", before in "[ -~]{0,20}", after in "[ -~]{0,20}",
    ) {
        let secret = secret.trim().to_owned();
        prop_assume!(secret.len() >= SHORTEST && !MASK.contains(&secret));
        let secrets = Secrets::new([secret.clone()]);
        let text = format!("{before}{secret}{after}");
        prop_assert!(!secrets.remove_from(&text).contains(&secret));
        let json = serde_json::json!({ "a": secret }).to_string();
        let cleaned = secrets.remove_from(&json);
        prop_assert!(serde_json::from_str::<serde_json::Value>(&cleaned).is_ok(), "{}", cleaned);
        prop_assert!(!cleaned.contains(&secret));
    }

    #[test]
    fn json_stays_json(value in "[ -~]{0,30}", key in prop::sample::select(vec!["api_key", "HF_TOKEN", "Authorization", "x"])) {
        let mut object = serde_json::Map::new();
        object.insert(key.to_owned(), value.clone().into());
        object.insert("command".to_owned(), serde_json::json!(["--api-key", value, "--x"]));
        let cleaned = cleaned(&serde_json::Value::Object(object).to_string());
        prop_assert!(serde_json::from_str::<serde_json::Value>(&cleaned).is_ok(), "{}", cleaned);
    }
}
