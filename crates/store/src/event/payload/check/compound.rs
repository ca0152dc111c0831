use serde::{
    Serialize,
    ser::{
        Error, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
        SerializeTupleStruct, SerializeTupleVariant,
    },
};

use super::{Place, Step, Watch, serializer::Watched};

/// A list, map or struct on its way into the codec.
pub(in super::super) struct Compound<'w, C> {
    inner: C,
    watch: &'w Watch,
    levels: usize,
    announced: Option<usize>,
    count: usize,
    /// Of a struct: its first field. An enum with an internal tag writes the tag before the
    /// fields of what is inside, which may have one of the same name.
    first: Option<&'static str>,
    /// Of a map: the hashes of its simple keys.
    keys: Vec<u64>,
}

impl<'w, C> Compound<'w, C> {
    pub(super) fn new<E: Error>(
        watch: &'w Watch,
        levels: usize,
        announced: Option<usize>,
        begin: impl FnOnce() -> Result<C, E>,
    ) -> Result<Self, E> {
        watch.enter(levels)?;
        // Binary codecs count in 32 bits, and cut what is more.
        if announced.is_some_and(|len| u32::try_from(len).is_err()) {
            return Err(watch.refuse("it has over 4,294,967,295 items"));
        }
        let inner = begin()?;
        Ok(Self {
            inner,
            watch,
            levels,
            announced,
            count: 0,
            first: None,
            keys: Vec::new(),
        })
    }

    fn watched<'v, T: ?Sized>(&self, value: &'v T, place: Place) -> Watched<'v, T>
    where
        'w: 'v,
    {
        Watched {
            value,
            watch: self.watch,
            place,
        }
    }

    fn item<E>(
        &mut self,
        step: impl FnOnce(usize) -> Step,
        run: impl FnOnce(&mut C) -> Result<(), E>,
    ) -> Result<(), E> {
        let step = step(self.count);
        self.count += 1;
        self.watch.step(step, || run(&mut self.inner))
    }

    fn field<E: Error>(
        &mut self,
        name: &'static str,
        run: impl FnOnce(&mut C) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.first == Some(name) {
            return Err(self
                .watch
                .refuse(format_args!("the field {name} stands there twice")));
        }
        self.first.get_or_insert(name);
        self.item(|_| Step::Field(name), run)
    }

    /// What must hold when all items are through.
    fn finish<E: Error>(mut self) -> Result<C, E> {
        if let Some(announced) = self.announced.filter(|announced| *announced != self.count) {
            let count = self.count;
            let why = format_args!("it announced {announced} items and has {count}");
            return Err(self.watch.refuse(why));
        }
        self.keys.sort_unstable();
        if !self.keys.is_sorted_by(|a, b| a < b) {
            return Err(self.watch.refuse("a key stands there twice"));
        }
        self.watch.leave(self.levels);
        Ok(self.inner)
    }
}

macro_rules! lists {
    ($($trait:ident: $method:ident),*) => {$(
        impl<C: $trait> $trait for Compound<'_, C> {
            type Ok = C::Ok;
            type Error = C::Error;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), C::Error> {
                let value = self.watched(value, Place::default());
                self.item(Step::Index, |inner| inner.$method(&value))
            }

            fn end(self) -> Result<C::Ok, C::Error> {
                self.finish()?.end()
            }
        }
    )*};
}

lists! {
    SerializeSeq: serialize_element, SerializeTuple: serialize_element,
    SerializeTupleStruct: serialize_field, SerializeTupleVariant: serialize_field
}

macro_rules! structs {
    ($($trait:ident),*) => {$(
        impl<C: $trait> $trait for Compound<'_, C> {
            type Ok = C::Ok;
            type Error = C::Error;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                name: &'static str,
                value: &T,
            ) -> Result<(), C::Error> {
                let value = self.watched(value, Place::default());
                self.field(name, |inner| inner.serialize_field(name, &value))
            }

            fn skip_field(&mut self, name: &'static str) -> Result<(), C::Error> {
                self.inner.skip_field(name)
            }

            fn end(self) -> Result<C::Ok, C::Error> {
                self.finish()?.end()
            }
        }
    )*};
}

structs! { SerializeStruct, SerializeStructVariant }

impl<C: SerializeMap> SerializeMap for Compound<'_, C> {
    type Ok = C::Ok;
    type Error = C::Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), C::Error> {
        let key = self.watched(
            key,
            Place {
                key: true,
                ..Place::default()
            },
        );
        self.watch.key.set(None);
        self.watch
            .step(Step::Entry(self.count), || self.inner.serialize_key(&key))?;
        // Only simple keys are compared: those that are one number or text.
        self.keys.extend(self.watch.key.take());
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), C::Error> {
        let value = self.watched(value, Place::default());
        self.item(Step::Entry, |inner| inner.serialize_value(&value))
    }

    fn end(self) -> Result<C::Ok, C::Error> {
        self.finish()?.end()
    }
}
