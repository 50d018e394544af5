"""What the keys do: every `action_` that the table in `tui.actions` names."""

from typing import ClassVar, Literal

from textual.app import App

from core.errors import EngineUnreachable, TapewatchError
from core.text import clean
from tui import actions, themes
from tui.client import EngineLink
from tui.desk import Desk
from tui.screens.job import JobScreen
from tui.screens.lists import AlertsScreen, HelpScreen, LogScreen
from tui.screens.live import LiveScreen
from tui.screens.modals import Picker, Question, Reader
from tui.state import OtherJob
from tui.views import alerts, log
from tui.widgets.pane import Pane

Severity = Literal["information", "warning", "error"]


class OperatorApp(App[int], inherit_bindings=False):
    """The half of the app that listens to keys; the other half owns and paces what these names hold."""

    BINDINGS: ClassVar = actions.bindings()

    desk: Desk
    link: EngineLink
    engine_stopped = False

    def repaint(self) -> None:
        """Paint what changed on the screen in front; what lies behind it is not touched."""
        if isinstance(self.screen, LiveScreen):
            self.screen.redraw()

    def say(self, words: str, severity: Severity = "information") -> None:
        """A toast."""
        self.notify(clean(words, 300), severity=severity, markup=False, timeout=6)

    @property
    def live(self) -> LiveScreen | None:
        """The full screen in front, None while a question stands before it."""
        return self.screen if isinstance(self.screen, LiveScreen) else None

    def action_move(self, rows: int) -> None:
        if self.live:
            self.live.pane.move(rows)

    def action_page(self, share: float) -> None:
        if self.live:
            self.live.pane.page(share)

    def action_move_to(self, where: str) -> None:
        if self.live:
            self.live.pane.move_to(where)

    def action_next_pane(self) -> None:
        self.screen.focus_next(Pane)

    def action_previous_pane(self) -> None:
        self.screen.focus_previous(Pane)

    def action_open(self) -> None:
        if self.live:
            self._open(self.live.pane)

    def on_pane_row_opened(self, message: Pane.RowOpened) -> None:
        self._open(message.pane)

    def _open(self, pane: Pane) -> None:
        key, state = pane.cursor, self.desk.shown
        if key is None or not pane.view.keys:
            return
        if pane.id == "jobs" and key in state.listed:
            self.push_screen(JobScreen(self.desk, key))
        elif pane.id in {"alerts", "all_alerts"} and key in state.alerts:
            self.push_screen(Reader(self.desk, "Alert", alerts.facts(state.alerts[key])))
        elif pane.id in {"log", "all_log", "job_log"}:
            for entry in (entry for entry in state.log if str(entry.id) == key):
                self.push_screen(Reader(self.desk, "Log line", log.facts(entry)))
        elif pane.id == "series" and isinstance(self.live, JobScreen):
            self.push_screen(Reader(self.desk, "Series", self.live.facts(key)))

    async def action_back(self) -> None:
        if self.live and not self.live.close() and len(self.screen_stack) > 1:
            self.pop_screen()
        self.repaint()

    def action_filter(self) -> None:
        if self.live and not self.live.open_filter():
            self.say("this pane has no filter")

    def action_sort(self) -> None:
        table = self.live.table if self.live else None
        if table is None or not table.sorts:
            self.say("this pane cannot be sorted")
            return

        def chosen(name: str | None) -> None:
            if name:
                table.choose(table.choice.sorted_by(name))
                self.repaint()

        current = table.choice.sort
        choices = [(name, name, "reverse" if name == current else "") for name in table.sorts]
        self.push_screen(Picker(self.desk, "Sort by", choices), chosen)

    def action_flip(self) -> None:
        table = self.live.table if self.live else None
        if table is not None and table.sorts:
            table.choose(table.choice.sorted_by(table.choice.sort))
            self.repaint()

    def action_pause(self) -> None:
        self.desk.toggle_pause()
        self.repaint()

    def action_maximise(self) -> None:
        if self.live:
            self.live.toggle_maximised()

    def action_copy(self) -> None:
        key = self.live.pane.cursor if self.live else None
        if key:
            self.copy_to_clipboard(clean(key))
            self.say(f"sent to the terminal's clipboard: {key}")

    def action_cancel_job(self) -> None:
        job = self._job_to_act_on()
        if job is None:
            return
        known = self.desk.state.jobs[job]
        names = f"{job} ({known.title})"

        def answered(answer: str | None) -> None:
            if answer == "y":
                self._send("cancel", job)

        question = f"Cancel job {names}? What it has committed stays."
        self.push_screen(Question(question, (("y", "cancel this job"),)), answered)

    def action_hold_job(self) -> None:
        job = self._job_to_act_on()
        if job is not None:
            self._send("resume" if self.desk.state.jobs[job].state == "held" else "hold", job)

    def action_retry_job(self) -> None:
        job = self._job_to_act_on()
        if job is not None:
            self._send("retry", job)

    def _job_to_act_on(self) -> str | None:
        if self.desk.read_only:
            self.say("read-only: nothing can be changed from here", "warning")
            return None
        job = self.live.selected_job() if self.live else None
        if job is None:
            self.say("no job selected", "warning")
            return None
        known = self.desk.state.listed[job]
        if isinstance(known, OtherJob):
            where = "; act on it there, by `tapewatch jobs`" if known.is_at_work else ""
            self.say(f"{known.job} belongs to {known.owner}{where}", "warning")
            return None
        return job

    def _send(self, command: str, job: str) -> None:
        self.run_worker(self._ask(command, job=job), name=f"{command} {job}")

    async def _ask(self, command: str, **args: object) -> bool:
        """Whether the engine agreed; its words become a toast and a log line when not."""
        target = clean(str(args.get("job", "the engine")))
        was_online = self.desk.state.link.phase == "online"
        refusal = ""
        try:
            await self.link.command(command, **args)
        except (TapewatchError, OSError) as error:
            # An engine that stops may be gone before its answer is.
            if not (command == "stop" and was_online and isinstance(error, EngineUnreachable)):
                refusal = clean(str(error)) or type(error).__name__
        if refusal:
            self.desk.note("error", f"{command} {target}: {refusal}")
        self.say(f"{command} {target}: {refusal or 'the engine agreed'}", "error" if refusal else "information")
        self.repaint()
        return not refusal

    def action_go(self, where: str) -> None:
        if not self.live or self.live.kind == where:
            return
        screen = self._screen(where, self.live)
        if screen is None and where == actions.JOB:
            self.say("no job selected", "warning")
            return
        while len(self.screen_stack) > 1:
            self.pop_screen()
        if screen is not None:
            self.push_screen(screen)

    def _screen(self, where: str, live: LiveScreen) -> LiveScreen | None:
        if where == actions.JOB:
            first = self.screen_stack[0]
            job = live.selected_job() or (first.selected_job() if isinstance(first, LiveScreen) else None)
            return JobScreen(self.desk, job) if job else None
        kinds: dict[str, type[LiveScreen]] = {"alerts": AlertsScreen, "log": LogScreen, "help": HelpScreen}
        return kinds[where](self.desk) if where in kinds else None

    def action_palette(self) -> None:
        if not self.live:
            return
        kind, read_only = self.live.kind, self.desk.read_only
        choices = [
            (action.id, action.title, self.live.footer.plain(action.key))
            for action in actions.ACTIONS
            if action.works_on(kind) and not (action.acts and read_only)
        ]
        self.push_screen(Picker(self.desk, "Commands", choices), self._run_chosen)

    async def _run_chosen(self, name: str | None) -> None:
        if name:
            await self.run_action(actions.BY_ID[name].does)

    def action_rate(self, step: int) -> None:
        self.desk.change_rate(step)
        self.repaint()

    def action_theme(self) -> None:
        names = [theme.name for theme in themes.THEMES.values()]
        self.theme = names[(names.index(self.theme) + 1) % len(names)]

    def action_repaint(self) -> None:
        self.refresh(repaint=True, layout=True)

    def action_leave(self) -> None:
        if len(self.screen_stack) > 1:
            self.pop_screen()
            return
        is_working = any(not job.is_final for job in self.desk.state.jobs.values())
        if not is_working and not self.desk.options.owns_engine:
            self.exit(0)
            return
        stop = () if self.desk.read_only else (("s", "stop the engine too"),)
        answers = (("enter", "leave, the engine works on"), *stop)
        self.push_screen(Question("Leave the dashboard?", answers), self._leave_answered)

    async def _leave_answered(self, answer: str | None) -> None:
        if answer == "s":
            self.engine_stopped = await self._ask("stop")
        if answer == "enter" or self.engine_stopped:
            self.exit(0)

    def action_leave_now(self) -> None:
        self.exit(0)

    def leave_from_signal(self) -> None:
        """May be called from a signal handler."""
        loop = self._loop
        if loop is not None:
            loop.call_soon_threadsafe(self.exit, 0)
