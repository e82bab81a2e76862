"""Choose: a person says which artifact of a level is current."""

from prefect import flow

from coldchain.forms_reprocess import ChooseForm
from tasks import choosing, show
from tasks.approving import identify


@flow(name="choose", flow_run_name="choose {form.level} of {form.dataset}")
def choose(form: ChooseForm) -> str:
    """Establish who chooses, and write down which artifact of a level is current; nothing is removed, and it can be changed back.

    Args:
        form: Which artifact of which level, why, and who you are.
    """
    person = identify(form.name, form.code)
    said = choosing.choose(person, form)
    show.copies(form.id)
    return said
