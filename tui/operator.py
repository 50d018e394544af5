"""What the keys do: every `action_` that the table in `tui.actions` names."""

from typing import Literal

from core.errors import EngineUnreachable, TapewatchError
from core.text import clean
from tui import actions, alert_orders, commands, themes
from tui.client import EngineLink
from tui.desk import Desk
from tui.pacing import PacedApp
from tui.query import FilterError
from tui.screens.live import LiveScreen
from tui.screens.modals import Picker, Question
from tui.screens.registry import SCREENS
from tui.state import OtherJob
from tui.widgets.command_line import CommandLine
from tui.widgets.pane import Pane

Severity = Literal["information", "warning", "error"]


class OperatorApp(PacedApp, inherit_bindings=False):
    """The half of the app that listens to keys; the other half owns and paces what these names hold."""

    desk: Desk
    link: EngineLink
    engine_stopped = False

    def repaint(self) -> None:
        """Paint what changed on the screen in front; a question holds still what it was asked about."""
        if self.live:
            self.live.redraw()
        else:
            self.repaint_header()

    def repaint_header(self) -> None:
        """Of the full screen that is seen, also while a question stands before it."""
        seen = next((screen for screen in reversed(self.screen_stack) if isinstance(screen, LiveScreen)), None)
        if seen:
            seen.header.redraw()

    def say(self, words: str, severity: Severity = "information") -> None:
        """A toast."""
        self.notify(clean(words, 300), severity=severity, markup=False, timeout=6)

    @property
    def live(self) -> LiveScreen | None:
        """The full screen in front, None while a question stands before it and when all are gone at the end."""
        front = self.screen_stack[-1] if self.screen_stack else None
        return front if isinstance(front, LiveScreen) else None

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
        if self.live and pane.view.keys and (screen := self.live.opens(pane)) is not None:
            self.push_screen(screen)

    def on_live_screen_shows_other(self, _message: LiveScreen.ShowsOther) -> None:
        self.repaint()

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
        key = self.live.copied() if self.live else None
        if key:
            self.copy_to_clipboard(clean(key))
            self.say(f"sent to the terminal's clipboard: {key}")

    def action_cancel_job(self) -> None:
        job = self._job_at_work()
        if job is None:
            return
        known = self.desk.state.jobs[job]
        names = f"{job} ({known.title})"

        def answered(answer: str | None) -> None:
            if answer == "y":
                self.order("cancel", job, job=job)

        question = f"Cancel job {names}? What it has committed stays."
        self.push_screen(Question(question, (("y", "cancel this job"),)), answered)

    def action_hold_job(self) -> None:
        job = self._job_at_work()
        if job is not None:
            self.order("resume" if self.desk.state.jobs[job].state == "held" else "hold", job, job=job)

    def action_ack(self) -> None:
        alert_orders.acknowledge(self)

    def action_silence(self) -> None:
        alert_orders.silence(self)

    def action_take_back(self) -> None:
        alert_orders.take_back(self)

    def may_act(self) -> bool:
        """Whether anything can be changed from here; it is said when not."""
        if self.desk.read_only:
            self.say("read-only: nothing can be changed from here", "warning")
        return not self.desk.read_only

    def _job_at_work(self) -> str | None:
        job = self._job_to_act_on()
        if job is None or not self.desk.state.jobs[job].is_final:
            return job
        self.say(f"{job} has ended: {self.desk.state.jobs[job].state}", "warning")
        return None

    def _job_to_act_on(self) -> str | None:
        if not self.may_act():
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

    def order(self, command: str, about: str, **args: object) -> None:
        """Tell the engine; what the store was asked is asked again then."""
        self.run_worker(self._order(command, about, args), name=f"{command} {clean(about)}")

    async def _order(self, command: str, about: str, args: dict[str, object]) -> None:
        await self._ask(command, about, **args)
        self.look_again()

    def look_again(self) -> None:
        """Have the store asked anew for what the screen in front shows of it."""

    async def _ask(self, command: str, target: str, **args: object) -> bool:
        """Whether the engine agreed; its words become a toast and a log line when not."""
        target = clean(target)
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
        while len(self.screen_stack) > 1:
            self.pop_screen()
        if where in SCREENS:
            self.push_screen(SCREENS[where](self.desk))

    def show_screen(self, kind: str, words: str) -> None:
        """Go there, its first table filtered by `words`, if any. Raises FilterError, and goes nowhere."""
        if words:
            made = SCREENS[kind](self.desk) if kind in SCREENS else self.screen_stack[0]
            tables = list(made.tables.values()) if isinstance(made, LiveScreen) else []
            if not tables:
                raise FilterError(f"{kind} has no filter")
            tables[0].filter(words)
        self.action_go(kind)
        self.repaint()

    def action_command(self) -> None:
        if self.live:
            self.live.command.open()

    def on_command_line_entered(self, message: CommandLine.Entered) -> None:
        live = self.live
        if live is None:
            return
        self.desk.remember(message.line)
        try:
            # What it does may open another screen: the line is gone by then.
            live.command_mode(False)
            if message.line.strip():
                commands.carry_out(self, message.line)
        except commands.CommandError as error:
            live.command_mode(True)
            live.command.refuse(str(error))

    def run_by_id(self, name: str) -> None:
        """An action of the table. Raises CommandError where it does nothing."""
        action = actions.BY_ID[name]
        if not (self.live and action.works_on(self.live.kind)):
            raise commands.CommandError(f"{name} works on {', '.join(action.scopes)}")
        self.call_later(self.run_action, action.does)

    def action_palette(self) -> None:
        if not self.live:
            return
        live, read_only = self.live, self.desk.read_only
        usable = [action for action in self.desk.options.actions if action.works_on(live.kind)]
        choices = [
            (action.id, action.title, live.footer.plain(action.key))
            for action, _ in live.offered(usable)
            if not (action.acts and read_only)
        ]
        self.push_screen(Picker(self.desk, "Commands", choices), self._run_chosen)

    async def _run_chosen(self, name: str | None) -> None:
        if name:
            await self.run_action(actions.BY_ID[name].does)

    def action_rate(self, step: int) -> None:
        self.desk.change_rate(step)
        self.repaint()

    def action_local_time(self) -> None:
        self.desk.toggle_local_time()
        self.repaint()

    def action_lean(self) -> None:
        self.desk.toggle_lean()
        self.repaint()

    def action_theme(self) -> None:
        names = [theme.name for theme in themes.THEMES.values()]
        self.theme = names[(names.index(self.theme) + 1) % len(names)]

    def action_repaint(self) -> None:
        self.forget_shown()
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
            self.engine_stopped = await self._ask("stop", "the engine")
        if answer == "enter" or self.engine_stopped:
            self.exit(0)

    def action_leave_now(self) -> None:
        self.exit(0)

    def leave_from_signal(self) -> None:
        """May be called from a signal handler."""
        loop = self._loop
        if loop is not None:
            loop.call_soon_threadsafe(self.exit, 0)
