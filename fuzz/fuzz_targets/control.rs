//! What anybody who reaches the control socket can send: every line gets an answer, of one line and bounded.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use outrider::control::Control;

static CONTROL: OnceLock<Control> = OnceLock::new();

fuzz_target!(|bytes: &[u8]| {
    let control = CONTROL.get_or_init(|| {
        Control::default()
            .on("text", |text: String| Err::<(), _>(text))
            .on("query", |request: outrider::records::lookup::Request| Ok(request.officer.len()))
            .on("evidence", |request: outrider::records::evidence::Request| Ok(request.hit.len()))
            .on("disposition", |request: outrider::records::disposition::Request| Ok(request.hit.len()))
            .on("hotplate/remove", |asked: outrider::hotlist::hotplate::Remove| Ok(asked.id.len()))
    });
    let answer = control.answer_for_tests(bytes);
    let text = std::str::from_utf8(&answer).expect("an answer is JSON");
    assert!(text.starts_with("{\"answer\":") || text.starts_with("{\"refused\":"));
    if text.starts_with("{\"refused\":") {
        let said: serde_json::Value = serde_json::from_str(text).expect("an answer is JSON");
        let why = said["refused"].as_str().expect("a refusal is a text");
        assert!(answer.len() < 8_192 && !why.contains(char::is_control), "{why:?}");
    }
});
