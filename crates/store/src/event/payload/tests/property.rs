use factlog_proof::leaf_hash;
use proptest::prelude::*;
use serde::{Serialize, de::DeserializeOwned};

use super::{
    super::{MAX_DEPTH, Payload, decode, to_display_json},
    ENCODINGS,
    thing::{Choices, Thing},
};

/// Refuses, or gives the value back. Returns whether it was taken.
fn comes_out<T>(encoding: factlog_format::Encoding, value: &T) -> bool
where
    T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug,
{
    let payload = match Payload::encoded(encoding, value) {
        Ok(payload) => payload,
        Err(error) => {
            assert_eq!(error.code(), "payload.lossy");
            return false;
        }
    };
    let name = encoding.name();
    let read = payload.decode::<T>();
    assert_eq!(read.as_ref(), Ok(value), "{name}: {:02x?}", payload.bytes);
    let shown = to_display_json(encoding, &payload.bytes).expect("what was encoded can be shown");
    assert!(!shown.contains('\n'), "{name}");
    serde_json::from_str::<serde_json::Value>(&shown).expect("what is shown is JSON");
    true
}

/// Enough for a thing of some size.
fn choices() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..300)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn what_goes_in_comes_out_or_is_refused(choices in choices()) {
        let thing = Choices(&choices).thing(5);
        for encoding in ENCODINGS {
            comes_out(encoding, &thing);
        }
        // Directly under an option nothing tells that there is a value.
        let maybe = Some(thing);
        for encoding in ENCODINGS {
            comes_out(encoding, &maybe);
        }
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(mut bytes in any::<Vec<u8>>()) {
        for encoding in ENCODINGS {
            let _ = to_display_json(encoding, &bytes);
            let _ = decode::<Thing>(encoding, &bytes);
            let _ = decode::<serde_json::Value>(encoding, &bytes);
        }
        bytes.truncate(1000);
        let nested = [vec![0x81; MAX_DEPTH - 1], bytes].concat();
        for encoding in ENCODINGS {
            let _ = to_display_json(encoding, &nested);
        }
    }

    #[test]
    fn damaged_payloads_are_read_without_a_panic(
        choices in choices(),
        at in any::<prop::sample::Index>(),
        bit in 0..8u8,
        cut in any::<prop::sample::Index>(),
    ) {
        let thing = Choices(&choices).thing(5);
        for encoding in ENCODINGS {
            let Ok(payload) = Payload::encoded(encoding, &thing) else { continue };
            let mut bytes = payload.bytes.into_owned();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            let _ = decode::<Thing>(encoding, &bytes);
            if let Some(shown) = to_display_json(encoding, &bytes) {
                serde_json::from_str::<serde::de::IgnoredAny>(&shown).expect("still JSON");
            }
            bytes.truncate(cut.index(bytes.len()));
            let _ = decode::<Thing>(encoding, &bytes);
            let _ = to_display_json(encoding, &bytes);
        }
    }
}

/// That nothing is lost would be no feat if nothing were taken.
#[test]
fn most_values_are_taken() {
    let mut taken = [0; 3];
    for seed in 0..1000u32 {
        let mut bytes: Vec<u8> = (0..40).map(|n| leaf_byte(seed, n)).collect();
        bytes[0] = (seed % 33) as u8;
        let thing = Choices(&bytes).thing(0);
        for (encoding, taken) in ENCODINGS.into_iter().zip(&mut taken) {
            *taken += usize::from(comes_out(encoding, &thing));
        }
    }
    assert!(taken.iter().all(|taken| *taken > 800), "{taken:?}");
}

fn leaf_byte(seed: u32, n: u32) -> u8 {
    leaf_hash(&[seed.to_le_bytes(), n.to_le_bytes()].concat()).as_bytes()[0]
}
