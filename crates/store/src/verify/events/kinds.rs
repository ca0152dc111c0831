//! Keys of kinds that were hashed before.

/// Remembers the keys of kinds, since the same few come again and again. What it says rests on a kind's bytes
/// alone; one that shares its place with another is only hashed again.
#[derive(Debug)]
pub(super) struct KnownKinds {
    slots: Vec<Slot>,
}

#[derive(Clone, Debug, Default)]
struct Slot {
    kind: String,
    /// How often it was taken.
    turn: u32,
    /// `None` as long as it isn't hashed yet.
    key: Option<[u8; 16]>,
}

/// Where a key is to be put once it is hashed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    slot: usize,
    turn: u32,
}

impl KnownKinds {
    /// With room for so many, a power of two.
    pub(super) fn new(room: usize) -> Self {
        Self {
            slots: vec![Slot::default(); room],
        }
    }

    /// The key of a kind; or the place at which it is to be [put](Self::put).
    pub(super) fn find(&mut self, kind: &str) -> Result<[u8; 16], Place> {
        let at = spread(kind) as usize & self.slots.len().saturating_sub(1);
        let nowhere = Place { slot: at, turn: 0 };
        let slot = self.slots.get_mut(at).ok_or(nowhere)?;
        if slot.kind != kind {
            slot.turn = slot.turn.wrapping_add(1);
            slot.key = None;
            slot.kind.clear();
            slot.kind.push_str(kind);
        }
        let turn = slot.turn;
        slot.key.ok_or(Place { slot: at, turn })
    }

    /// Remembers a key, unless another kind has taken its place meanwhile.
    pub(super) fn put(&mut self, place: Place, key: [u8; 16]) {
        let slot = self.slots.get_mut(place.slot);
        if let Some(slot) = slot.filter(|slot| slot.turn == place.turn) {
            slot.key = Some(key);
        }
    }
}

/// Spreads kinds over the places; nothing rests on it but time.
fn spread(kind: &str) -> u64 {
    let mix = |hash: u64, word: u64| {
        let mixed = (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed.rotate_left(29)
    };
    let (words, rest) = kind.as_bytes().as_chunks::<8>();
    let hash = match kind.as_bytes().last_chunk::<8>() {
        // The last eight bytes overlap those before.
        Some(last) => {
            let words = words.iter().chain(Some(last));
            words.fold(0, |hash, word| mix(hash, u64::from_le_bytes(*word)))
        }
        None => rest
            .iter()
            .fold(0, |hash, byte| mix(hash, u64::from(*byte))),
    };
    hash ^ hash >> 32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_that_of_its_own_kind_whatever_shares_the_place() {
        // One place for all.
        let mut known = KnownKinds::new(1);
        let first = known.find("order.paid").unwrap_err();
        assert!(known.find("order.paid").is_err(), "not hashed yet");
        known.put(first, [1; 16]);
        assert_eq!(known.find("order.paid").ok(), Some([1; 16]));
        for kind in ["order.pai", "order.paid.", "order"] {
            let place = known.find(kind).unwrap_err();
            let other = known.find("order.paid").unwrap_err();
            known.put(place, [2; 16]);
            assert!(known.find("order.paid").is_err(), "{kind}");
            known.put(other, [1; 16]);
            assert_eq!(known.find("order.paid").ok(), Some([1; 16]));
        }
    }
}
