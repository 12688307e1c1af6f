"""What supplements do to a case file."""

from msgspec.structs import replace

from schemas.models import CaseFile, SupplementProvided


def supplemented(file: CaseFile, supplement: SupplementProvided) -> CaseFile:
    """The file with the materials and answers that were handed in, instead of earlier ones of the same name."""
    materials = {material.code: material for material in (*file.materials, *supplement.materials)}
    form = {field.name: field for field in (*file.form, *supplement.form)}
    return replace(file, materials=tuple(materials.values()), form=tuple(form.values()))


def outstanding(file: CaseFile) -> bool:
    """Whether a material that was allowed to follow (容缺) has not come yet."""
    return any(material.may_follow for material in file.materials)
