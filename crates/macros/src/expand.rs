//! From a type to its implementation of `TypedEvent`.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Data, DataEnum, DeriveInput, Error, Fields, Ident, Result, Type, spanned::Spanned};

use crate::attributes::{self, EventAttribute};

pub(crate) fn event(input: &DeriveInput) -> Result<TokenStream> {
    if !input.generics.params.is_empty() {
        let say = "an event can't be generic: its kind stands for one type";
        return Err(Error::new(input.generics.span(), say));
    }
    match &input.data {
        Data::Struct(data) => of_struct(input, &data.fields),
        Data::Enum(data) => of_enum(input, data),
        Data::Union(_) => Err(Error::new(
            input.ident.span(),
            "an event is a struct or an enum",
        )),
    }
}

fn of_struct(input: &DeriveInput, fields: &Fields) -> Result<TokenStream> {
    let name = &input.ident;
    let attribute = attributes::event(&input.attrs, name)?;
    let (pattern, tags) = tags(fields)?;
    let expanded = Expanded {
        name,
        types: vec![event_type(name, None, &attribute)],
        numbers: quote!(0),
        tags: quote!(let Self #pattern = self; #tags),
        encode: quote!(::factlog::Payload::encoded(encoding, self)),
        decode: quote!(payload.decode()),
    };
    Ok(expanded.into_tokens())
}

fn of_enum(input: &DeriveInput, data: &DataEnum) -> Result<TokenStream> {
    let name = &input.ident;
    refuse_enum_attributes(input, data)?;
    let mut kinds: Vec<String> = Vec::new();
    let (mut types, mut numbers, mut all_tags) = (Vec::new(), Vec::new(), Vec::new());
    let mut decode = Vec::new();
    for (number, variant) in data.variants.iter().enumerate() {
        let attribute = attributes::event(&variant.attrs, &variant.ident)?;
        let kind = attribute.kind.value();
        if kinds.contains(&kind) {
            let say = format!("two variants have the kind {kind:?}");
            return Err(Error::new(attribute.kind.span(), say));
        }
        kinds.push(kind);
        let ident = &variant.ident;
        types.push(event_type(name, Some(ident), &attribute));
        numbers.push(quote!(Self::#ident { .. } => #number,));
        let (pattern, tags) = tags(&variant.fields)?;
        all_tags.push(quote!(Self::#ident #pattern => { #tags }));
        let index = number as u32; // no enum has more variants
        decode.push(quote! {
            #number => ::core::result::Result::map(
                payload.decode(),
                |::factlog::typed::Variant::<Self, #index>(event)| event,
            ),
        });
    }
    let expanded = Expanded {
        name,
        types,
        numbers: quote!(match self { #(#numbers)* }),
        tags: quote!(match self { #(#all_tags)* }),
        encode: quote!(::factlog::Payload::encoded(
            encoding,
            &::factlog::typed::Content(self)
        )),
        decode: quote!(match number {
            #(#decode)*
            _ => ::factlog::typed::no_such_type(),
        }),
    };
    Ok(expanded.into_tokens())
}

fn refuse_enum_attributes(input: &DeriveInput, data: &DataEnum) -> Result<()> {
    if let Some(attribute) = input.attrs.iter().find(|one| one.path().is_ident("event")) {
        let say = "the kinds of an enum of events stand on its variants";
        return Err(Error::new(attribute.span(), say));
    }
    if data.variants.is_empty() {
        let say = "an enum of events has at least one variant";
        return Err(Error::new(input.ident.span(), say));
    }
    let say = "the kind says which variant an event is, so serde's tags are left out";
    attributes::refuse_serde(&input.attrs, &["tag", "content", "untagged"], say)?;
    for variant in &data.variants {
        let say = "a variant that serde skips or guesses can't be stored and read again";
        let names = [
            "skip",
            "skip_serializing",
            "skip_deserializing",
            "other",
            "untagged",
        ];
        attributes::refuse_serde(&variant.attrs, &names, say)?;
    }
    Ok(())
}

fn event_type(name: &Ident, variant: Option<&Ident>, attribute: &EventAttribute) -> TokenStream {
    let EventAttribute {
        kind,
        version,
        upcasts,
    } = attribute;
    let rust_name = match variant {
        None => name.to_string(),
        Some(variant) => format!("{name}::{variant}"),
    };
    let steps = (1u16..)
        .zip(upcasts)
        .map(|(from, step)| quote!(::factlog::typed::Upcast { from: #from, step: #step }));
    quote! {
        ::factlog::typed::EventType {
            kind: #kind,
            version: #version,
            rust_type: ::core::concat!(::core::module_path!(), "::", #rust_name),
            upcasts: &[#(#steps),*],
        }
    }
}

/// A pattern that binds the fields that make tags, and what makes them of these.
fn tags(fields: &Fields) -> Result<(TokenStream, TokenStream)> {
    let (mut pattern, mut pushes) = (Vec::new(), Vec::new());
    for (number, field) in fields.iter().enumerate() {
        let Some(tag) = attributes::tag(field)? else {
            continue;
        };
        let binding = format_ident!("field_{number}");
        let member: syn::Member = match &field.ident {
            Some(name) => name.clone().into(),
            None => number.into(),
        };
        pattern.push(quote!(#member: #binding,));
        let values = match holds_several(&field.ty) {
            true => quote!(#binding.iter()),
            false => quote!(::core::iter::once(#binding)),
        };
        pushes.push(quote! {
            tags.extend(#values.map(|value| ::std::format!("{}:{value}", #tag)));
        });
    }
    Ok((quote!({ #(#pattern)* .. }), quote!(#(#pushes)*)))
}

/// Whether each item makes a tag of its own: of options, lists and sets.
fn holds_several(of: &Type) -> bool {
    let Type::Path(path) = of else {
        return false;
    };
    let last = path.path.segments.last();
    last.is_some_and(|last| {
        ["Option", "Vec", "BTreeSet", "HashSet"]
            .iter()
            .any(|name| last.ident == name)
    })
}

struct Expanded<'a> {
    name: &'a Ident,
    types: Vec<TokenStream>,
    numbers: TokenStream,
    tags: TokenStream,
    encode: TokenStream,
    decode: TokenStream,
}

impl Expanded<'_> {
    fn into_tokens(self) -> TokenStream {
        let Self {
            name,
            types,
            numbers,
            tags,
            encode,
            decode,
        } = self;
        quote! {
            #[automatically_derived]
            impl ::factlog::typed::TypedEvent for #name {
                const TYPES: &'static [::factlog::typed::EventType] = &[#(#types),*];

                fn number(&self) -> usize {
                    #numbers
                }

                fn tags(&self) -> ::std::vec::Vec<::std::string::String> {
                    #[allow(unused_mut, reason = "not every event has tags")]
                    let mut tags = ::std::vec::Vec::new();
                    #tags
                    tags
                }

                fn encode(
                    &self,
                    encoding: ::factlog::Encoding,
                ) -> ::core::result::Result<::factlog::Payload<'static>, ::factlog::Misuse> {
                    #encode
                }

                fn decode(
                    number: usize,
                    payload: &::factlog::Payload<'_>,
                ) -> ::core::result::Result<Self, ::factlog::Misuse> {
                    #decode
                }
            }

            #(::factlog::typed::inventory::submit! { #types })*
        }
    }
}
