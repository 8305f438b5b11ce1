defmodule Sippet.Test.TelemetryStandIn do
  # Stands in for the package `:telemetry`, in the calling convention of its version 1: attach/4, attach_many/4, detach/1,
  # execute/3 and list_handlers/1, which gives maps with id, event_name, function and config. It is a module only while a
  # test has it installed.
  @moduledoc false

  import ExUnit.Callbacks

  def install do
    table = :ets.new(:telemetry_stand_in, [:public, :bag])
    :persistent_term.put(__MODULE__, table)

    Module.create(
      :telemetry,
      quote do
        def attach(id, event, function, config), do: attach_many(id, [event], function, config)

        def attach_many(id, events, function, config) do
          for event <- events, do: :ets.insert(table(), {event, id, function, config})
          :ok
        end

        def detach(id) do
          :ets.match_delete(table(), {:_, id, :_, :_})
          :ok
        end

        def execute(event, measurements, metadata)
            when is_list(event) and is_map(measurements) and is_map(metadata) do
          for {_event, _id, function, config} <- :ets.lookup(table(), event),
              do: function.(event, measurements, metadata, config)

          :ok
        end

        def list_handlers(prefix) do
          for {event, id, function, config} <- :ets.tab2list(table()),
              List.starts_with?(event, prefix),
              do: %{id: id, event_name: event, function: function, config: config}
        end

        defp table, do: :persistent_term.get(unquote(__MODULE__))
      end,
      Macro.Env.location(__ENV__)
    )

    on_exit(fn ->
      :code.purge(:telemetry)
      :code.delete(:telemetry)
      :code.purge(:telemetry)
      Sippet.Telemetry.refresh()
    end)
  end
end
