use proptest::prelude::*;
use serde::{Serialize, de::DeserializeOwned};

use super::{
    super::{MAX_DEPTH, Payload, decode, to_display_json},
    ENCODINGS,
    thing::{Thing, leaf, thing},
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn what_goes_in_comes_out_or_is_refused(thing in thing()) {
        for encoding in ENCODINGS {
            comes_out(encoding, &thing);
            comes_out(encoding, &Some(thing.clone()));
            comes_out(encoding, &(thing.clone(), vec![Some(&thing).cloned()]));
        }
    }

    /// Without a tag around it, a value stands directly under the option.
    #[test]
    fn bare_values_come_out_or_are_refused(
        nested in any::<Option<Option<Option<u8>>>>(),
        units in any::<Vec<Option<()>>>(),
        float in any::<u64>(),
        leaf in leaf(),
    ) {
        for encoding in ENCODINGS {
            comes_out(encoding, &nested);
            comes_out(encoding, &units);
            comes_out(encoding, &super::thing::F64(f64::from_bits(float)));
            comes_out(encoding, &leaf);
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
        thing in thing(),
        at in any::<prop::sample::Index>(),
        bit in 0..8u8,
        cut in any::<prop::sample::Index>(),
    ) {
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

#[test]
fn most_values_are_taken() {
    use proptest::{strategy::ValueTree, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    let mut taken = [0; 3];
    for _ in 0..1000 {
        let thing = leaf().new_tree(&mut runner).unwrap().current();
        for (encoding, taken) in ENCODINGS.into_iter().zip(&mut taken) {
            *taken += usize::from(comes_out(encoding, &thing));
        }
    }
    assert!(taken.iter().all(|taken| *taken > 800), "{taken:?}");
}
