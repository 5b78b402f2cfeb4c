//! Lists from files in the car, read by the same reader as in `hotlist import` (`reader/`).
//!
//! In: a file's bytes: one plate a line, or CSV with a header, compressed or not, in any of the
//! usual encodings (`hotlists/mappings/car.toml` has the columns' names). Out: a [`Hotlist`], and
//! the rows that could not be used, by line. All other columns of a CSV, such as names and dates of
//! birth, are dropped unread; a column that may say when an entry holds is reported.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use sha2::{Digest, Sha256};

use super::list::Builder;
use super::reader::columns::is_limiting;
use super::reader::container::open_bytes;
use super::reader::dates;
use super::reader::interpret::{Defaults, Interpreter, Problem, Reading};
use super::reader::mapping::Mapping;
use super::reader::{Item, ReadError, each_row};
use super::{Hotlist, HotlistError, ListStamp, Matching, RowError, SkippedRow};
use crate::config::HotlistConfig;
use crate::entry::DateOrder;

/// The layout of a list in a car.
const LAYOUT: &str = include_str!("../../../../hotlists/mappings/car.toml");

/// A list from a file, and what of the file could not be used.
pub struct Loaded {
    /// The list.
    pub list: Hotlist,
    /// Rows that could not be used, in the order of their lines.
    pub skipped: Vec<SkippedRow>,
    /// Columns that no field reads and that may say when or whether an entry holds.
    pub limiting_columns: Vec<String>,
    /// Other columns that no field reads.
    pub unused_columns: Vec<String>,
}

impl Loaded {
    /// Rows that are lost: those that could not be used and do not merely repeat another row.
    pub fn lost(&self) -> impl Iterator<Item = &SkippedRow> {
        self.skipped.iter().filter(|row| !matches!(row.why, RowError::Repeats { .. }))
    }

    /// A warning that a column which may say when an entry holds is not read; `None` if there is
    /// none.
    pub fn limits_unread(&self) -> Option<String> {
        (!self.limiting_columns.is_empty()).then(|| {
            format!(
                "nothing reads column {}, which may say when or whether an entry holds",
                self.limiting_columns.join(", ")
            )
        })
    }

    /// What is wrong with a file although its list is used; `None` if nothing is.
    pub fn trouble(&self) -> Option<String> {
        let mut said = Vec::new();
        let lost = self.lost().count();
        if let Some(first) = self.lost().next() {
            let rows = self.list.len() + self.skipped.len();
            said.push(format!(
                "{lost} of {rows} rows do not serve; the first, line {}: {}",
                first.line, first.why
            ));
        }
        said.extend(self.limits_unread());
        (!said.is_empty()).then(|| said.join("; "))
    }
}

/// Reads a list from its file.
pub fn load(config: &HotlistConfig) -> Result<Loaded, HotlistError> {
    let unreadable = |source| HotlistError::Unreadable { path: config.path.clone(), source };
    let bytes = crate::files::read(&config.path, crate::files::Readers::Anybody)
        .map_err(|e| unreadable(e.into()))?;
    let changed = std::fs::metadata(&config.path).and_then(|m| m.modified()).map_err(unreadable)?;
    let source_time = Timestamp::try_from(changed).unwrap_or(Timestamp::UNIX_EPOCH);
    read(&bytes, config, source_time, &TimeZone::system())
}

/// Reads a list from a file's bytes.
pub fn parse(
    bytes: &[u8],
    config: &HotlistConfig,
    source_time: Timestamp,
    zone: &TimeZone,
) -> Result<(Hotlist, Vec<SkippedRow>), HotlistError> {
    read(bytes, config, source_time, zone).map(|loaded| (loaded.list, loaded.skipped))
}

/// The layout of a car's lists, adapted to this list's settings.
fn mapping(config: &HotlistConfig) -> Mapping {
    let mut mapping = Mapping::parse("car", LAYOUT).expect("built in, and tested");
    mapping.category = Some(config.category.clone());
    mapping.priority = config.priority;
    // Patterns are read where the list's settings ask for them; whether policy allows them is
    // decided when the list is put in service.
    mapping.patterns = config.matching == Matching::Wildcard;
    let order = config.date_order.unwrap_or(DateOrder::Ymd);
    mapping.dates.extend(dates::forms(order).iter().map(|form| (*form).to_owned()));
    mapping
}

fn read(
    bytes: &[u8],
    config: &HotlistConfig,
    source_time: Timestamp,
    zone: &TimeZone,
) -> Result<Loaded, HotlistError> {
    let digest = Sha256::digest(bytes);
    let stamp = ListStamp {
        name: config.name.as_str().into(),
        version: data_encoding::HEXLOWER.encode(&digest).into(),
        source_time,
    };
    let (mapping, defaults) = (mapping(config), Defaults::default());
    let interpreter = Interpreter::new(&mapping, &defaults, zone);
    let mut builder = Builder::default();
    let (mut skipped, mut unused, mut good) = (Vec::new(), Vec::new(), 0_usize);
    let mut take = |item: Item<'_>| {
        let (line, reading) = match item {
            Item::NoRow => return Ok(true),
            Item::Unused(columns) => {
                unused.extend(columns.iter().filter(|c| !c.is_empty()).cloned());
                return Ok(true);
            }
            Item::Bad { line, problem } => (line, Reading::Bad(problem)),
            Item::Row { line, row, bindings, .. } => (line, interpreter.read(bindings, &row)),
        };
        match reading {
            Reading::Entry(entry) => {
                builder.push(line, &entry)?;
                good += 1;
            }
            Reading::Junk => skipped.push(SkippedRow { line, why: RowError::NoPlate }),
            Reading::Dropped { .. } => {
                let why = RowError::Row(Problem::NoRow);
                skipped.push(SkippedRow { line, why });
            }
            Reading::Bad(why) => skipped.push(SkippedRow { line, why: RowError::Row(why) }),
        }
        Ok::<_, Failed>(true)
    };
    let done = open_bytes(&config.path, bytes, |reader| each_row(reader, &mapping, &mut take));
    let path = || config.path.clone();
    match done {
        Err(e) => return Err(HotlistError::Source(e)),
        Ok(Err(Failed::List(e))) => return Err(e),
        Ok(Err(Failed::Read(ReadError::NoPlateColumn(columns)))) => {
            return Err(HotlistError::NoPlateColumn { path: path(), columns: columns.join(", ") });
        }
        Ok(Err(Failed::Read(why))) => return Err(HotlistError::Broken { path: path(), why }),
        Ok(Ok(_)) => {}
    }
    if let (0, Some(first)) = (good, skipped.first()) {
        let (rows, line, why) = (skipped.len(), first.line, first.why.clone());
        return Err(HotlistError::NothingUsable { path: path(), rows, line, why });
    }
    let ages = (config.amber_after.get(), config.red_after.get());
    let (list, duplicates) = builder.finish(stamp, config.matching, ages);
    skipped.extend(
        duplicates
            .into_iter()
            .map(|d| SkippedRow { line: d.line, why: RowError::Repeats { of: d.of } }),
    );
    skipped.sort_by_key(|row| row.line);
    let (limiting_columns, unused_columns) =
        unused.into_iter().partition(|c: &String| is_limiting(c));
    Ok(Loaded { list, skipped, limiting_columns, unused_columns })
}

/// Why reading ended.
enum Failed {
    Read(ReadError),
    List(HotlistError),
}

impl From<ReadError> for Failed {
    fn from(e: ReadError) -> Self {
        Self::Read(e)
    }
}

impl From<HotlistError> for Failed {
    fn from(e: HotlistError) -> Self {
        Self::List(e)
    }
}

#[cfg(test)]
mod tests;
