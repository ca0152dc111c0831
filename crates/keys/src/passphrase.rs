use argon2::{Algorithm, Argon2, Block, Params, Version};
use zeroize::Zeroizing;

use crate::KeysetError;

/// How a passphrase becomes a key: Argon2id, RFC 9106. Stored with each recipient that it unlocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KdfParams {
    /// Memory in KiB.
    pub memory: u32,
    /// Passes.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

impl KdfParams {
    /// The second choice of RFC 9106: 64 MiB, 3 passes, 4 lanes.
    pub const RECOMMENDED: Self = Self {
        memory: 64 << 10,
        passes: 3,
        lanes: 4,
    };

    /// Refuses what is weaker than that, and what would keep a machine busy or full: what is read from a
    /// disk must not decide either.
    pub(crate) fn check(&self) -> Result<(), KeysetError> {
        let floor = Self::RECOMMENDED;
        if self.memory < floor.memory || self.passes < floor.passes || self.lanes == 0 {
            return Err(KeysetError::KdfWeak);
        }
        if self.memory > 1 << 20 || self.passes > 16 || self.lanes > 64 {
            return Err(KeysetError::KdfCostly);
        }
        Ok(())
    }

    /// What trying it costs: memory written, in KiB.
    pub(crate) fn cost(&self) -> u64 {
        u64::from(self.memory) * u64::from(self.passes)
    }

    pub(crate) fn derive(
        &self,
        passphrase: &[u8],
        salt: &[u8; 16],
    ) -> Result<Zeroizing<[u8; 32]>, KeysetError> {
        self.check()?;
        let params = Params::new(self.memory, self.passes, self.lanes, Some(32));
        let params = params.map_err(|_| KeysetError::KdfCostly)?;
        let mut memory = Zeroizing::new(Vec::new());
        let blocks = params.block_count();
        memory
            .try_reserve_exact(blocks)
            .map_err(|_| KeysetError::NoMemory)?;
        memory.resize(blocks, Block::new());
        let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let mut key = Zeroizing::new([0; 32]);
        argon
            .hash_password_into_with_memory(passphrase, salt, key.as_mut(), memory.as_mut_slice())
            .map_err(|_| KeysetError::KdfCostly)?;
        Ok(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_read_from_a_disk_are_floored_and_capped() {
        let good = KdfParams::RECOMMENDED;
        good.check().unwrap();
        let (weak, costly) = (KeysetError::KdfWeak, KeysetError::KdfCostly);
        for (params, why) in [
            (KdfParams { memory: 1, ..good }, weak),
            (KdfParams { passes: 1, ..good }, weak),
            (KdfParams { lanes: 0, ..good }, weak),
            (
                KdfParams {
                    memory: (1 << 20) + 1,
                    ..good
                },
                costly,
            ),
            (
                KdfParams {
                    memory: u32::MAX,
                    ..good
                },
                costly,
            ),
            (KdfParams { passes: 17, ..good }, costly),
            (
                KdfParams {
                    passes: u32::MAX,
                    ..good
                },
                costly,
            ),
            (
                KdfParams {
                    lanes: u32::MAX,
                    ..good
                },
                costly,
            ),
        ] {
            // Refused before any memory is asked for.
            assert_eq!(params.derive(b"x", &[0; 16]).unwrap_err(), why);
        }
    }
}
