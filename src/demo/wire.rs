//! Listens between car and broker: every byte that the car sends to its broker goes through [`Tap`],
//! and is searched for plates that should have stayed inside, in every spelling that could
//! carry one: plain, with gaps, reversed, hexadecimal, base64.
//!
//! A search costs some 5 ns per byte; a hit is some 10 KB.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use rustc_hash::{FxHashMap, FxHashSet};

use crate::plate::Plate;

/// A spelling in upper case, and the place of the plate that it stands for.
type Spelling = (Box<[u8]>, usize);

/// Finds plates in bytes.
pub struct Search {
    /// By their first four bytes.
    spellings: FxHashMap<[u8; 4], Vec<Spelling>>,
    longest: usize,
}

/// Shorter spellings turn up in pictures by chance: four bytes of 256 values once in 4 GB, but
/// letters of either case far more often.
const SHORTEST: usize = 5;

impl Search {
    /// Prepares the spellings of these plates.
    pub fn for_plates(plates: &[Plate]) -> Self {
        let mut search = Self { spellings: FxHashMap::default(), longest: 0 };
        for (i, plate) in plates.iter().enumerate() {
            for spelling in spellings(plate.expose()) {
                if spelling.len() < SHORTEST {
                    continue;
                }
                search.longest = search.longest.max(spelling.len());
                let start = [spelling[0], spelling[1], spelling[2], spelling[3]];
                search.spellings.entry(start).or_default().push((spelling.into(), i));
            }
        }
        search
    }

    /// Adds to `found` the places (in the list that was given) of all plates in these bytes.
    fn add_found(&self, bytes: &[u8], found: &mut FxHashSet<usize>) {
        let raised: Vec<u8> = bytes.iter().map(u8::to_ascii_uppercase).collect();
        for (i, window) in raised.windows(4).enumerate() {
            let start = [window[0], window[1], window[2], window[3]];
            for (spelling, plate) in self.spellings.get(&start).into_iter().flatten() {
                if raised[i..].starts_with(spelling) {
                    found.insert(*plate);
                }
            }
        }
    }
}

/// Every way in which a plate could be written, in upper case.
fn spellings(plate: &str) -> Vec<Vec<u8>> {
    let text = plate.as_bytes();
    let reversed: Vec<u8> = text.iter().rev().copied().collect();
    let mut all = vec![text.to_vec(), reversed.clone()];
    for straight in [text, &reversed] {
        all.push(data_encoding::HEXUPPER.encode(straight).into_bytes());
        // Within a longer base64 text a plate may start at any of three places in a group; the
        // characters that it shares with its neighbours are left out.
        for before in 0..3_usize {
            let mut padded = vec![0; before];
            padded.extend_from_slice(straight);
            let coded = data_encoding::BASE64_NOPAD.encode(&padded);
            let (first, last) = ((before * 8).div_ceil(6), padded.len() * 8 / 6);
            all.push(coded[first..last].to_ascii_uppercase().into_bytes());
        }
    }
    // With the gap or dash that people put between letters and digits.
    for i in 1..text.len() {
        if text[i - 1].is_ascii_digit() != text[i].is_ascii_digit() {
            for gap in *b" -" {
                let mut apart = text.to_vec();
                apart.insert(i, gap);
                all.push(apart);
            }
        }
    }
    all
}

/// What went through the door.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Passed {
    /// Bytes from the car.
    pub bytes: u64,
    /// Connections the car made.
    pub connections: u64,
    /// Different plates of the searched list that were found among them.
    pub plates: u64,
}

/// A door in front of the broker. The car connects here and notices nothing.
pub struct Tap {
    address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    bytes: u64,
    connections: u64,
    found: FxHashSet<usize>,
}

impl Tap {
    /// Listens on a free port of the loopback address and passes everything on to `broker`.
    pub fn before(broker: SocketAddr, search: Search) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (search, all) = (Arc::new(search), seen.clone());
        std::thread::Builder::new().name("demo-tap".into()).spawn(move || {
            for car in listener.incoming().flatten() {
                all.lock().expect("no holder panics").connections += 1;
                let Ok(broker) = TcpStream::connect(broker) else { continue };
                let Ok((car_back, broker_back)) =
                    car.try_clone().and_then(|c| Ok((c, broker.try_clone()?)))
                else {
                    continue;
                };
                // The car's side sets TCP_NODELAY; so does the way through.
                let _ = (car.set_nodelay(true), broker.set_nodelay(true));
                let (search, all) = (search.clone(), all.clone());
                let out = move || outward(&car, &broker, &search, &all);
                let _ = std::thread::Builder::new().name("demo-tap-out".into()).spawn(out);
                let back = move || {
                    let _ = std::io::copy(&mut &broker_back, &mut &car_back);
                    let _ = car_back.shutdown(Shutdown::Both);
                };
                let _ = std::thread::Builder::new().name("demo-tap-back".into()).spawn(back);
            }
        })?;
        Ok(Self { address, seen })
    }

    /// Where the car connects to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What went through so far.
    pub fn passed(&self) -> Passed {
        let seen = self.seen.lock().expect("no holder panics");
        Passed { bytes: seen.bytes, connections: seen.connections, plates: seen.found.len() as u64 }
    }
}

/// Passes the car's bytes on, each searched before it goes.
fn outward(mut car: &TcpStream, mut broker: &TcpStream, search: &Search, seen: &Mutex<Seen>) {
    let mut buffer = vec![0; 64 << 10];
    // The end of what came before, so that nothing hides across two reads.
    let mut kept: Vec<u8> = Vec::new();
    while let Ok(n @ 1..) = car.read(&mut buffer) {
        kept.extend_from_slice(&buffer[..n]);
        {
            let mut seen = seen.lock().expect("no holder panics");
            seen.bytes += n as u64;
            search.add_found(&kept, &mut seen.found);
        }
        let tail = kept.len().saturating_sub(search.longest);
        kept.drain(..tail);
        if broker.write_all(&buffer[..n]).is_err() {
            break;
        }
    }
    let _ = broker.shutdown(Shutdown::Both);
    let _ = car.shutdown(Shutdown::Both);
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn found(bytes: &[u8]) -> usize {
        let plates = [Plate::parse("CKSV841").unwrap(), Plate::parse("AB12345").unwrap()];
        let mut found = FxHashSet::default();
        Search::for_plates(&plates).add_found(bytes, &mut found);
        found.len()
    }

    #[rstest]
    #[case::plain(b"..CKSV841..".to_vec())]
    #[case::lower_case(b"{\"p\":\"cksv841\"}".to_vec())]
    #[case::apart(b"CKSV 841".to_vec())]
    #[case::dashed(b"CKSV-841".to_vec())]
    #[case::reversed(b"148VSKC".to_vec())]
    #[case::hex(b"x434b5356383431x".to_vec())]
    #[case::base64(data_encoding::BASE64.encode(b"CKSV841").into_bytes())]
    #[case::base64_second(data_encoding::BASE64.encode(b"{CKSV841}").into_bytes())]
    #[case::base64_third(data_encoding::BASE64.encode(b"..CKSV841..").into_bytes())]
    fn plate_is_found_however_it_is_written(#[case] bytes: Vec<u8>) {
        assert_eq!(found(&bytes), 1);
    }

    #[test]
    fn other_bytes_are_not_taken_for_plates() {
        assert_eq!(found(b"CKSV842 AB1234 CKSV8 41"), 0);
        let mut chance = crate::render::chance::Chance::new(1);
        let noise: Vec<u8> = (0..400_000).map(|_| chance.bits() as u8).collect();
        assert_eq!(found(&noise), 0);
    }

    #[test]
    fn tap_passes_everything_and_sees_a_plate_across_two_writes() {
        let broker = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let search = Search::for_plates(&[Plate::parse("CKSV841").unwrap()]);
        let tap = Tap::before(broker.local_addr().unwrap(), search).unwrap();
        let mut car = TcpStream::connect(tap.address()).unwrap();
        let (mut inside, _) = broker.accept().unwrap();
        let mut got = [0; 9];
        car.write_all(b"..CKS").unwrap();
        inside.read_exact(&mut got[..5]).unwrap();
        assert_eq!(tap.passed().plates, 0);
        car.write_all(b"V841").unwrap();
        inside.read_exact(&mut got[5..]).unwrap();
        assert_eq!(&got, b"..CKSV841");
        assert_eq!(tap.passed(), Passed { bytes: 9, connections: 1, plates: 1 });
        inside.write_all(b"ok").unwrap();
        car.read_exact(&mut got[..2]).unwrap();
    }
}
