defmodule Sippet.ReadmeTest do
  # The snippets of the README, in their order, as one program.
  use ExUnit.Case

  import ExUnit.CaptureIO

  alias Sippet.Test.{Guide, Stack}

  @readme Path.expand("../README.md", __DIR__)

  test "every Elixir snippet of the README runs" do
    assert length(Guide.snippets("README.md")) >= 6

    # The stack asks itself: the answers come from its own core.
    output =
      capture_io(fn ->
        Guide.run("README.md")
        {:group_leader, device} = Process.info(self(), :group_leader)

        Stack.eventually(fn ->
          {_input, output} = StringIO.contents(device)
          output =~ "200" and output =~ "501"
        end)
      end)

    assert output =~ "SIP/2.0 200 OK"
    assert output =~ "SIP/2.0 501 Not Implemented"
  end

  test "the README has every key of the header map" do
    readme = File.read!(@readme)
    missing = for key <- known_headers(), not (readme =~ ~r/:#{key}\s+=>/), do: key
    assert missing == []
  end

  defp known_headers do
    ~w(accept accept_encoding accept_language alert_info allow authentication_info authorization call_id call_info contact
       content_disposition content_encoding content_language content_length content_type cseq date error_info expires from
       in_reply_to max_forwards mime_version min_expires organization p_asserted_identity priority proxy_authenticate
       proxy_authorization proxy_require reason record_route reply_to require retry_after route server subject supported
       timestamp to unsupported user_agent via warning www_authenticate)
  end
end
