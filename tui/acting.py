"""What operators start, stop and repair: the actions behind the keys that change the engine's work."""

import getpass
from contextlib import suppress

from core.events import ScheduleChanged
from core.text import clean
from tui import actions, command_lines
from tui.operator import OperatorApp
from tui.screens.modals import Question
from tui.screens.orders import BatchForm, JobForm, OrderScreen, RepairForm

HOUR = 3_600.0
PAUSES = {"1": ("for an hour", HOUR), "4": ("for four hours", 4 * HOUR), "d": ("for a day", 24 * HOUR)}
FOR_EVER = "e"


class ActingApp(OperatorApp):
    """Everything here is refused when read-only, and what destroys anything asks first, naming it."""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if self.live and not actions.acts_on(action, self.live.kind):
            return False
        return super().check_action(action, parameters)

    def repaint(self) -> None:
        super().repaint()
        if isinstance(self.screen, OrderScreen):
            self.screen.redraw()

    def action_new_job(self) -> None:
        if self.may_act():
            self._fill_in(JobForm(self.desk, self.link.command))

    def action_run_batch(self) -> None:
        if self.may_act():
            self._fill_in(BatchForm(self.desk, self.link.command))

    def action_repair(self) -> None:
        series = self.live.selected_series() if self.live else None
        if not self.may_act():
            return
        if series is None:
            self.say("no series selected", "warning")
            return
        self._fill_in(RepairForm(self.desk, self.link.command, [series]))

    def action_repair_all(self) -> None:
        if self.may_act():
            self._fill_in(RepairForm(self.desk, self.link.command))

    def _fill_in(self, screen: OrderScreen) -> None:
        self.push_screen(screen, self._ordered)

    def _ordered(self, started: str | None) -> None:
        if started:
            self.desk.note("info", started)
            self.say(started)
            self.look_again()
            self.repaint()

    def action_retry_all(self) -> None:
        job = self._job_to_act_on()
        if job is not None:
            self.order("retry", job, job=job)

    def action_retry_job(self) -> None:
        """Those of its series that failed, where it got so far as to have any."""
        job = self._job_to_act_on()
        if job is not None:
            known = self.desk.state.jobs[job]
            self.order("retry", job, job=job, **({"failed": True} if known.series_failed else {}))

    def action_warm_cache(self) -> None:
        if self.may_act():
            self.order("warm_cache", "the cache")

    def action_clear_cache(self) -> None:
        if self.may_act():
            question = "Clear the cache? Everything in all its tiers is forgotten; lists that the store has stay there."
            self._confirm(question, "clear the cache", "clear_cache", "the cache")

    def action_run_schedule(self) -> None:
        if (schedule := self._schedule_to_act_on()) is not None:
            name = schedule.schedule
            question = f"Run schedule {name} now ({schedule.what})?"
            self._confirm(question, "run it now", "run_schedule", name, schedule=name, by=operator())

    def action_pause_schedule(self) -> None:
        schedule = self._schedule_to_act_on()
        if schedule is None:
            return
        name = schedule.schedule
        if schedule.paused_since is not None:
            self.order("resume_schedule", name, schedule=name, by=operator())
            return

        def answered(answer: str | None) -> None:
            if answer:
                seconds = PAUSES[answer][1] if answer in PAUSES else None
                self.order("pause_schedule", name, schedule=name, by=operator(), seconds=seconds)

        answers = (*((key, words) for key, (words, _) in PAUSES.items()), (FOR_EVER, "until it is resumed"))
        self.push_screen(Question(f"Pause schedule {name}? Its runs are skipped meanwhile.", answers), answered)

    def _schedule_to_act_on(self) -> ScheduleChanged | None:
        if not self.may_act():
            return None
        found = self.live.selected_schedule() if self.live else None
        if found is None:
            self.say("no schedule selected", "warning")
        return found

    def action_copy_command(self) -> None:
        pane = self.live.pane if self.live else None
        line = self.live.command_line() if self.live else ""
        if not line and pane and pane.cursor:
            line = command_lines.of_row(pane.id or "", pane.cursor, self.desk.shown)
        if not line:
            self.say("there is no command for this row", "warning")
            return
        self.copy_to_clipboard(line)
        self.say(f"sent to the terminal's clipboard: {line}")

    def _confirm(self, question: str, does: str, command: str, target: str, **args: object) -> None:
        def answered(answer: str | None) -> None:
            if answer == "y":
                self.order(command, target, **args)

        self.push_screen(Question(question, (("y", does),)), answered)


def operator() -> str:
    """Who sits here, for the record."""
    with suppress(OSError, KeyError):
        return clean(getpass.getuser(), 100) or "somebody"
    return "somebody"
