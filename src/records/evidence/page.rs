//! The bundle's page for people: one file, no script, nothing from elsewhere.

use std::fmt::Write as _;

use crate::counters::report::escaped;
use crate::hits::KeptHit;
use crate::policy::VerifyRules;
use crate::records::disposition::Standing;
use crate::wire::{DispositionReport, PositionReport};

/// The page.
pub(super) fn html(
    kept: &KeptHit,
    steps: &[DispositionReport],
    standing: Standing,
    picture: bool,
) -> String {
    let report = &kept.report;
    let (read, entry) = (&report.read, &report.entry);
    let mut out = String::new();
    let _ = write!(
        out,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Hit {id}</title>\n\
         <style>{STYLE}</style></head><body><main>\n<h1>Hit {id}</h1>\n<p class=\"status\">{status}</p>\n",
        id = escaped(&report.id),
        // A bundle goes where no policy is known: what is asked for where nothing is said is sight and dispatch.
        status = standing.status(VerifyRules::default()),
    );
    if picture {
        out += "<p><img src=\"plate.jpg\" alt=\"the plate in the best frame\"></p>\n";
    }
    let mut rows: Vec<(&str, String)> = vec![
        ("Read", format!("{} ({})", read.plate, read.jurisdiction)),
        ("Listed", format!("{} ({})", entry.plate, entry.jurisdiction)),
        ("Match", format!("{:?}, differing characters: {:?}", entry.matched, entry.differing)),
        ("Least certain character", format!("{:.4}", read.weakest_character)),
        ("Frames that voted", read.frames.to_string()),
        ("Seen", report.seen.to_string()),
        ("Camera", report.camera.to_string()),
        ("Vehicle", format!("{} of {}", report.vehicle, report.agency)),
        ("Category", format!("{}, priority {:?}", entry.category, entry.priority)),
        ("Reason", kept.detail.reason.clone()),
        ("Vehicle as listed", kept.detail.vehicle.clone()),
        ("Source", format!("{}, case {}", entry.source, entry.case)),
        (
            "List",
            format!(
                "{}, version {}, its source says so as of {}",
                entry.list, entry.list_version, entry.list_source_time
            ),
        ),
        ("Position", position(&report.position)),
        ("Detector", report.models.detector.clone()),
        ("OCR", report.models.ocr.clone()),
        ("Device key", format!("{:?}", report.key_protection)),
    ];
    if let Some(reading) = &kept.detail.reading {
        rows.push(("Clock vouched for by", reading.time_source.as_str().into()));
        rows.push(("Boot clock", format!("{} ms", reading.boot_ms)));
        if let Some(odds) = &reading.odds {
            let road = &odds.road;
            rows.push((
                "Odds",
                format!(
                    "{}. Vote for the listed text {:.4}, density of the list {:.6}; in {} days {} reads, {} hits on \
                     this list, {} judged, {} of them misread",
                    odds.in_words(), odds.text, odds.density, road.days, road.reads, road.hits, road.judged,
                    road.misread
                ),
            ));
        }
    }
    out += "<table>\n";
    for (name, value) in rows {
        let _ = writeln!(out, "<tr><th>{name}</th><td>{}</td></tr>", escaped(&value));
    }
    out += "</table>\n<h2>What people made of it</h2>\n";
    if steps.is_empty() {
        out += "<p>Nothing yet.</p>\n";
    }
    for step in steps {
        let what = step.outcome.map_or_else(|| format!("{:?}", step.step), |o| format!("{o:?}"));
        let _ =
            writeln!(out, "<p>{} by {}: {}</p>", step.at, escaped(&step.officer), escaped(&what));
    }
    if let Some(reading) = &kept.detail.reading {
        out += "<h2>What each frame said by itself</h2>\n<table><tr><th>Taken</th><td>Text</td>\
                <td>Characters</td><td>Detector</td><td>Width</td></tr>\n";
        for frame in &reading.frames {
            let each: Vec<_> = frame.characters.iter().map(|p| format!("{p:.2}")).collect();
            let _ = writeln!(
                out,
                "<tr><th>{}</th><td>{}</td><td>{}</td><td>{:.2}</td><td>{} px</td></tr>",
                frame.seen,
                escaped(&frame.text),
                each.join(" "),
                frame.detector,
                frame.width
            );
        }
        out += "</table>\n<h2>The vote, character by character</h2>\n<table>\n";
        for (place, slot) in reading.vote.iter().enumerate() {
            let each: Vec<_> = slot.iter().map(|(c, p)| format!("{c} {p:.4}")).collect();
            let _ = writeln!(
                out,
                "<tr><th>{}</th><td>{}</td></tr>",
                place + 1,
                escaped(&each.join(", "))
            );
        }
        out += "</table>\n";
    }
    out += "<p class=\"small\">This page is for reading; hit.json, entry.json, reading.json, \
            dispositions.json and audit.jsonl say the same for machines. Check all of it with: \
            outrider evidence verify BUNDLE --key THE-CAR'S-PUBLIC-KEY</p>\n</main></body></html>\n";
    out
}

fn position(position: &PositionReport) -> String {
    match position {
        PositionReport::None => "no fix".into(),
        PositionReport::Known { latitude, longitude, accuracy_m, age_ms, interpolated, .. } => {
            let accuracy = accuracy_m.map_or("unknown".into(), |m| format!("{m:.1} m"));
            let how = if *interpolated { "between two fixes" } else { "the fix itself" };
            format!("{latitude:.6}, {longitude:.6}; accuracy {accuracy}; {how}, {age_ms} ms away")
        }
    }
}

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;margin:0;color:#1b1f24}main{max-width:56rem;margin:auto;padding:1rem}\
.status{font-weight:700;border:2px solid;padding:.5rem}table{border-collapse:collapse;width:100%}\
th,td{text-align:left;vertical-align:top;padding:.25rem .5rem;border-bottom:1px solid #d5d9de;overflow-wrap:anywhere}\
img{width:100%;max-width:32rem;image-rendering:pixelated}.small{font-size:13px}";
