//! The row of chips on top of the page: what is not well stands in front, in the colour of how bad it is.

use super::*;

/// An expression: whether a chip of this kind begins with these words.
fn chip(kind: &str, words: &str) -> String {
    format!(
        "[...document.querySelectorAll('#chips li')].some((li) => \
         li.className === '{kind}' && li.textContent.startsWith('{words}'))"
    )
}

#[test]
fn certificate_is_as_bad_in_the_row_as_its_part_says() {
    let Some(browser) = Browser::start() else { return };
    let car = Car::start();
    // On a phone the row wraps, and has room for every chip.
    browser.size(390, 844);
    browser.go(&car.url());
    browser.until(&chip("warn", "Certificate 21 days left"));
    assert!(!browser.text("chips").contains("Page certificate"), "{}", browser.text("chips"));
    // As in its last week, whatever the page would make of the days by itself.
    for part in ["certificate", "page_certificate"] {
        car.health.set(part, PartState::Down("ends soon: renew it".into()));
    }
    browser.until(&chip("bad", "Certificate 21 days left"));
    browser.until(&chip("bad", "Page certificate 45 days left"));
    for part in ["certificate", "page_certificate"] {
        car.health.set(part, PartState::Working);
    }
    browser.until("!document.getElementById('chips').textContent.includes('ertificate')");
    assert!(browser.text("state").contains("Certificate 21 days left"), "still in the list");
    // One that has ended is bad although its part has not been looked at since the clock was set.
    let ended = browser.ask(
        "const chips = [];
         drawCertificate(chips, [], 'Certificate', 'certificate', '2020-01-01T00:00:00Z', 'no link');
         return chips.map((one) => [one.kind, one.value]);",
    );
    assert_eq!(ended, serde_json::json!([["bad", "HAS ENDED: no link"]]));
}
