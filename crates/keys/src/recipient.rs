use std::fmt;

use data_encoding::HEXLOWER;
use factlog_format::{Digest, JournalId};
use hpke::{
    Deserializable, Kem as _, OpModeR, OpModeS, Serializable, aead::ChaCha20Poly1305,
    kdf::HkdfSha256, kem::X25519HkdfSha256, single_shot_open, single_shot_seal_with_rng,
};
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
use zeroize::{Zeroize, Zeroizing};

use crate::{
    KdfParams, KeysetError, WrappedKey,
    input::Input,
    wrap::{MACHINE_CHECK, MACHINE_KEY, Purpose, WRAPPED_KEY_LEN, WrapPlace, derive},
};

type Kem = X25519HkdfSha256;
/// HPKE's encapsulated key and the root with its tag.
const ROOT_LEN: usize = 32 + 32 + 16;
const PRIVATE: &str = "factlog-private-key-1 ";
const PUBLIC: &str = "factlog-recipient-1 ";
/// What a label may be long, in bytes.
const MAX_LABEL: usize = 255;

/// The public half of a recipient: whoever has it can let its holder open a keyset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecipientKey(pub [u8; 32]);

/// The private half of a recipient, an X25519 key.
#[derive(Clone)]
pub struct Identity(Zeroizing<[u8; 32]>);

/// What is known of a machine: a random secret kept on its disk, and the system's own id of it, which
/// alone is no secret.
#[derive(Clone)]
pub struct MachineIdentity {
    /// Random bytes in a file that only their owner can read.
    pub secret: Zeroizing<[u8; 32]>,
    /// The system's id of this installation, as it gives it.
    pub system_id: Vec<u8>,
}

/// What somebody brings to open a keyset.
#[derive(Clone)]
pub enum Unlock {
    /// A passphrase, whether typed, or out of the environment or a command.
    Passphrase(Zeroizing<String>),
    /// A private key.
    Identity(Identity),
    /// The machine.
    Machine(MachineIdentity),
}

/// How the private half of a recipient is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lock {
    /// Elsewhere: a key file of the holder's.
    Elsewhere,
    /// Here, under a passphrase.
    Passphrase {
        /// How the passphrase becomes a key.
        params: KdfParams,
        /// Salt of that.
        salt: [u8; 16],
        /// The private key.
        private: WrappedKey,
    },
    /// Here, under what a machine knows.
    Machine {
        /// Salt of the key.
        salt: [u8; 16],
        /// Tells, to who has the machine's secret, whether its system's id is still the same.
        check: [u8; 16],
        /// The private key.
        private: WrappedKey,
    },
}

/// Somebody who can open a keyset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// Whether it is kept for the case that all others are lost.
    pub recovery: bool,
    /// The owner's word for it.
    pub label: String,
    /// Its public half.
    pub public: RecipientKey,
    /// How its private half is kept.
    pub lock: Lock,
    /// The root key, for this recipient alone.
    pub(crate) root: [u8; ROOT_LEN],
}

impl RecipientKey {
    /// As text: what goes to others.
    #[must_use]
    pub fn to_text(&self) -> String {
        format!("{PUBLIC}{}", HEXLOWER.encode(&self.0))
    }

    /// Reads a public key, or the public half of a private one.
    ///
    /// # Errors
    /// [`KeysetError::BadKeyText`].
    pub fn from_text(text: &str) -> Result<Self, KeysetError> {
        if text.starts_with(PRIVATE) {
            return Ok(Identity::from_text(text)?.public());
        }
        let key = Self(key_in(text, PUBLIC)?);
        // Zeros and the like are on no curve that a secret could be agreed over.
        <Kem as hpke::Kem>::PublicKey::from_bytes(&key.0).map_err(|_| KeysetError::BadKeyText)?;
        Ok(key)
    }

    /// The recipient's id: 8 bytes of its key, which show where there are several.
    #[must_use]
    pub fn id(&self) -> [u8; 8] {
        let mut id = [0; 8];
        id.copy_from_slice(self.0.split_at(8).0);
        id
    }
}

fn key_in(text: &str, prefix: &str) -> Result<[u8; 32], KeysetError> {
    let hex = text
        .strip_suffix('\n')
        .unwrap_or(text)
        .strip_prefix(prefix)
        .ok_or(KeysetError::BadKeyText)?;
    let bytes = Zeroizing::new(HEXLOWER.decode(hex.as_bytes()).unwrap_or_default());
    bytes
        .as_slice()
        .try_into()
        .map_err(|_| KeysetError::BadKeyText)
}

impl Identity {
    /// A fresh key out of 32 fresh bytes.
    #[must_use]
    pub fn generate(random: &[u8; 32]) -> Self {
        let (private, _) = Kem::derive_keypair(random);
        let mut bytes = [0; 32];
        private.write_exact(&mut bytes);
        let identity = Self(Zeroizing::new(bytes));
        bytes.zeroize();
        identity
    }

    /// As text, with a line end: what a key file holds.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        let hex = Zeroizing::new(HEXLOWER.encode(self.0.as_ref()));
        Zeroizing::new(format!("{PRIVATE}{}\n", hex.as_str()))
    }

    /// Reads a key file's content.
    ///
    /// # Errors
    /// [`KeysetError::BadKeyText`].
    pub fn from_text(text: &str) -> Result<Self, KeysetError> {
        let identity = Self(Zeroizing::new(key_in(text, PRIVATE)?));
        match identity.private() {
            Some(_) => Ok(identity),
            None => Err(KeysetError::BadKeyText),
        }
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> RecipientKey {
        let public = self.private().map(|private| Kem::sk_to_pk(&private));
        let mut bytes = [0; 32];
        if let Some(public) = public {
            public.write_exact(&mut bytes);
        }
        RecipientKey(bytes)
    }

    fn private(&self) -> Option<<Kem as hpke::Kem>::PrivateKey> {
        <Kem as hpke::Kem>::PrivateKey::from_bytes(self.0.as_ref()).ok()
    }
}

impl MachineIdentity {
    fn key(&self, salt: &[u8; 16]) -> Zeroizing<[u8; 32]> {
        let parts: [&[u8]; 3] = [self.secret.as_ref(), salt, &self.system_id];
        Zeroizing::new(derive(&MACHINE_KEY, &parts))
    }

    fn check(&self, salt: &[u8; 16]) -> [u8; 16] {
        let hash = derive(&MACHINE_CHECK, &[self.secret.as_ref(), salt]);
        let mut check = [0; 16];
        check.copy_from_slice(hash.split_at(16).0);
        check
    }
}

impl Lock {
    /// Keeps a private key under what unlocks it. `random` must be fresh.
    ///
    /// # Errors
    /// [`KeysetError::KdfWeak`] and [`KeysetError::KdfCostly`] for parameters that are not allowed.
    pub fn of(
        journal: &JournalId,
        identity: &Identity,
        unlock: &Unlock,
        params: KdfParams,
        random: &[u8; 28],
    ) -> Result<Self, KeysetError> {
        let (mut salt, mut nonce) = ([0; 16], [0; 12]);
        salt.copy_from_slice(random.split_at(16).0);
        nonce.copy_from_slice(random.split_at(16).1);
        let public = identity.public();
        let wrap = |key: &[u8; 32]| place(journal, &public).wrap_key(key, &nonce, &identity.0);
        Ok(match unlock {
            Unlock::Identity(_) => Self::Elsewhere,
            Unlock::Passphrase(passphrase) => {
                let key = params.derive(passphrase.as_bytes(), &salt)?;
                let private = wrap(&key)?;
                Self::Passphrase {
                    params,
                    salt,
                    private,
                }
            }
            Unlock::Machine(machine) => Self::Machine {
                salt,
                check: machine.check(&salt),
                private: wrap(&machine.key(&salt))?,
            },
        })
    }
}

fn place<'p>(journal: &'p JournalId, public: &'p RecipientKey) -> WrapPlace<'p> {
    WrapPlace {
        purpose: Purpose::Recipient,
        journal,
        domain: &public.0,
        key: &[0; 16],
        bucket: 0,
        generation: 0,
    }
}

/// What HPKE binds to a wrapped root.
fn info(journal: &JournalId, commitment: &Digest) -> Vec<u8> {
    let mut info = b"factlog 1 keyset root".to_vec();
    info.extend_from_slice(journal);
    info.extend_from_slice(commitment);
    info
}

impl Recipient {
    /// The same recipient of another root key; no secret of its own is needed. `random` must be fresh.
    ///
    /// # Errors
    /// [`KeysetError::BadKeyText`] for a public key that no secret can be agreed with.
    pub(crate) fn wrap_root(
        &mut self,
        journal: &JournalId,
        root: &[u8; 32],
        commitment: &Digest,
        random: &[u8; 32],
    ) -> Result<(), KeysetError> {
        let mut rng = ChaCha20Rng::from_seed(*random);
        let public = <Kem as hpke::Kem>::PublicKey::from_bytes(&self.public.0)
            .map_err(|_| KeysetError::BadKeyText)?;
        let (encapped, sealed) = single_shot_seal_with_rng::<ChaCha20Poly1305, HkdfSha256, Kem>(
            &OpModeS::Base,
            &public,
            &info(journal, commitment),
            root,
            &[],
            &mut rng,
        )
        .map_err(|_| KeysetError::BadKeyText)?;
        let (key, rest) = self.root.split_at_mut(32);
        key.copy_from_slice(&encapped.to_bytes());
        rest.copy_from_slice(sealed.get(..rest.len()).ok_or(KeysetError::BadKeyText)?);
        Ok(())
    }

    /// A recipient of nothing yet.
    #[must_use]
    pub fn new(public: RecipientKey, lock: Lock, label: &str, recovery: bool) -> Self {
        let mut end = label.len().min(MAX_LABEL);
        while !label.is_char_boundary(end) {
            end -= 1;
        }
        Self {
            recovery,
            label: label.split_at(end).0.to_owned(),
            public,
            lock,
            root: [0; ROOT_LEN],
        }
    }

    /// The root key, if `unlock` is this recipient's secret.
    pub(crate) fn open(
        &self,
        journal: &JournalId,
        commitment: &Digest,
        unlock: &Unlock,
    ) -> Result<Zeroizing<[u8; 32]>, KeysetError> {
        let identity = self.identity(journal, unlock)?;
        let private = identity.private().ok_or(KeysetError::Forged)?;
        let (key, sealed) = self.root.split_at(32);
        let encapped = <Kem as hpke::Kem>::EncappedKey::from_bytes(key);
        let encapped = encapped.map_err(|_| KeysetError::Forged)?;
        let root = single_shot_open::<ChaCha20Poly1305, HkdfSha256, Kem>(
            &OpModeR::Base,
            &private,
            &encapped,
            &info(journal, commitment),
            sealed,
            &[],
        );
        let root = Zeroizing::new(root.map_err(|_| KeysetError::Forged)?);
        let root = root
            .as_slice()
            .try_into()
            .map_err(|_| KeysetError::Forged)?;
        Ok(Zeroizing::new(root))
    }

    fn identity(&self, journal: &JournalId, unlock: &Unlock) -> Result<Identity, KeysetError> {
        let unwrap = |key: &[u8; 32], private: &WrappedKey| {
            let found = place(journal, &self.public).unwrap_key(key, private);
            found.map(Identity)
        };
        match (&self.lock, unlock) {
            (_, Unlock::Identity(identity)) if identity.public() == self.public => {
                Ok(identity.clone())
            }
            (
                Lock::Passphrase {
                    params,
                    salt,
                    private,
                },
                Unlock::Passphrase(passphrase),
            ) => {
                let key = params.derive(passphrase.as_bytes(), salt)?;
                unwrap(&key, private).ok_or(KeysetError::WrongPassphrase)
            }
            (
                Lock::Machine {
                    salt,
                    check,
                    private,
                },
                Unlock::Machine(machine),
            ) => {
                if machine.check(salt) != *check {
                    return Err(KeysetError::NoRecipient);
                }
                unwrap(&machine.key(salt), private).ok_or(KeysetError::MachineChanged)
            }
            _ => Err(KeysetError::NoRecipient),
        }
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.recovery));
        out.push(self.label.len() as u8);
        out.extend_from_slice(self.label.as_bytes());
        out.extend_from_slice(&self.public.0);
        match &self.lock {
            Lock::Elsewhere => out.push(0),
            Lock::Passphrase {
                params,
                salt,
                private,
            } => {
                out.push(1);
                for figure in [params.memory, params.passes, params.lanes] {
                    out.extend_from_slice(&figure.to_le_bytes());
                }
                out.extend_from_slice(salt);
                out.extend_from_slice(private);
            }
            Lock::Machine {
                salt,
                check,
                private,
            } => {
                out.push(2);
                out.extend_from_slice(salt);
                out.extend_from_slice(check);
                out.extend_from_slice(private);
            }
        }
        out.extend_from_slice(&self.root);
    }

    pub(crate) fn decode(input: &mut Input<'_>) -> Option<Self> {
        let recovery = match input.u8()? {
            0 => false,
            1 => true,
            _ => return None,
        };
        let len = usize::from(input.u8()?);
        let label = str::from_utf8(input.take(len)?).ok()?.to_owned();
        let public = RecipientKey(input.array()?);
        let lock = match input.u8()? {
            0 => Lock::Elsewhere,
            1 => Lock::Passphrase {
                params: KdfParams {
                    memory: input.u32()?,
                    passes: input.u32()?,
                    lanes: input.u32()?,
                },
                salt: input.array()?,
                private: input.array::<WRAPPED_KEY_LEN>()?,
            },
            2 => Lock::Machine {
                salt: input.array()?,
                check: input.array()?,
                private: input.array::<WRAPPED_KEY_LEN>()?,
            },
            _ => return None,
        };
        Some(Self {
            recovery,
            label,
            public,
            lock,
            root: input.array()?,
        })
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity(of {})", self.public().to_text())
    }
}

impl fmt::Debug for MachineIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MachineIdentity(..)")
    }
}

impl fmt::Debug for Unlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Passphrase(_) => "Passphrase(..)",
            Self::Identity(_) => "Identity(..)",
            Self::Machine(_) => "Machine(..)",
        })
    }
}
